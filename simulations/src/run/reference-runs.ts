import type { LocalTrainer } from "@fedlora/client-sdk";
import {
  adapterLayout,
  initialAdapter,
  mergeCounts,
  evaluationMetrics,
  resolveAdapter,
  type EvaluationCounts,
  type ModelManifest,
  type RunSpec,
  type StateDict,
} from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { withPerplexity } from "../metrics/perplexity.js";
import { ownDataOf } from "../population/own-data.js";
import { ClientData } from "../runtime/client-data.js";
import type { Scenario } from "../scenario/scenario-schema.js";
import { referenceName, type ReferenceKind } from "../scenario/variant-spec.js";
import { localInstructions } from "./local-instructions.js";
import { perClient } from "./per-client.js";
import { noMethod, type RoundRow, type RunResult } from "./round-row.js";
import { sharedOut } from "./shared-out.js";

export interface ReferenceOptions {
  readonly kind: ReferenceKind;
  readonly scenario: Scenario;
  readonly seed: number;
  readonly spec: RunSpec;
  readonly manifest: ModelManifest;
  readonly data: SimulationData;
  readonly room: LocalTrainer;
  readonly signal: AbortSignal;
}

/**
 * What there is without a federation, on the same clients, held-out and test examples as a run with this seed:
 *
 * - `base`: the run's initial adapter, which is the base model;
 * - `alone`: every client trains by itself from there, in one go as many steps as the federation's clients take on average;
 *   each one's model is tested on all test examples and on the client's own.
 */
export async function referenceRun(options: ReferenceOptions): Promise<RunResult> {
  const { kind, scenario, seed, spec, manifest, data, room, signal } = options;
  const begin = performance.now();
  const { test, partition, clientsKey } = sharedOut(scenario, data, seed);
  const adapter = resolveAdapter(spec.adapter, manifest, spec.task);
  const { localSteps, localEpochs = 1 } = spec.training;
  const rounds = Math.max(1, Math.round((spec.rounds * spec.cohort.size) / partition.clients));
  const training = {
    ...spec.training,
    ...(localSteps === undefined ? { localEpochs: localEpochs * rounds } : { localSteps: localSteps * rounds }),
  };
  const instructions = localInstructions({ ...spec, training }, adapterLayout(adapter));
  const initial = initialAdapter(adapter, spec.training.seed);
  const nothing = (): void => undefined;
  const evaluate = (start: StateDict, of: ClientData): Promise<EvaluationCounts> =>
    room.evaluate({ instructions, start, data: of }, signal, nothing);
  const testData = new ClientData("test", data, { trainRows: new Int32Array(0), heldOutRows: test });

  const measured = await Promise.all(
    Array.from({ length: partition.clients }, async (_, client) => {
      const own = ownDataOf({ key: clientsKey, data, partition, heldOutShare: scenario.data.heldOut }, client);
      let tensors = initial;
      if (kind === "alone") {
        const request = { instructions, start: initial, data: own, round: 1, optimizerState: undefined };
        const { trained } = await room.train({ ...request, streamKey: `alone/${own.name}` }, signal, nothing);
        tensors = new Map([...initial, ...trained]);
      }
      return {
        // The base model is the same everywhere.
        test: test.length > 0 && (kind === "alone" || client === 0) ? await evaluate(tensors, testData) : undefined,
        own: own.heldOutRows.length > 0 ? await evaluate(tensors, own) : undefined,
      };
    }),
  );
  const metrics = (parts: readonly (EvaluationCounts | undefined)[]) => {
    const counts = parts.flatMap((part) => part ?? []);
    if (counts.length === 0) return undefined;
    return withPerplexity(spec.task, evaluationMetrics(spec.task, mergeCounts(spec.task, counts)));
  };
  const own = metrics(measured.map((each) => each.own));
  const variant = referenceName(kind);
  const row: RoundRow = {
    variant,
    seed,
    round: 0,
    endMs: 0,
    durationMs: 0,
    planned: 0,
    accepted: 0,
    refused: 0,
    declined: 0,
    dropouts: 0,
    trainLoss: undefined,
    test: metrics(measured.map((each) => each.test)),
    evaluation: own && { ...own },
    perClient: perClient(measured.flatMap((each) => each.own ?? [])),
    bytesUp: 0,
    bytesDown: 0,
    waitingMs: undefined,
    classes: {},
    epsilon: undefined,
    methodMetrics: {},
    adapter: "",
  };
  return {
    variant,
    seed,
    method: noMethod,
    state: "completed",
    reason: "",
    rounds: [row],
    finalHash: "",
    virtualMs: 0,
    refusals: {},
    declines: {},
    trainings: kind === "alone" ? partition.clients : 0,
    privacy: undefined,
    classes: {},
    wallMs: performance.now() - begin,
  };
}
