import {
  adapterKeys,
  type Clock,
  type Directive,
  elementCount,
  FedLoraError,
  fromFloat32,
  type StateDict,
  type TaskSpec,
  type Tensor,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { ArtifactRef, ArtifactRequest } from "../engine/artifact.js";
import type { TrainingEngine } from "../engine/engine.js";
import { rowsPerText } from "../engine/rows-per-text.js";
import type { AdapterPlan } from "../lora/adapter-plan.js";
import type { OpenBase } from "../models/base-delta/base-versions.js";
import type { BaseModel } from "../models/base-model.js";
import type { EncodedExample } from "./encode-example.js";
import { bucketFor, chooseBuckets, lengthLadder } from "./length-buckets.js";
import type { TrainingProgress, TrainResult } from "./local-trainer.js";
import { makeInputs } from "./make-inputs.js";
import { cutMicroBatches, longestRow } from "./micro-batches.js";
import { maxBuckets } from "./prepare-training.js";
import { assertNotAborted } from "./read-examples.js";

export type SketchDirective = Extract<Directive, { readonly kind: "gradient-sketch" | "activation-sketch" }>;

export interface SketchWork {
  readonly directive: SketchDirective;
  /** At least one. */
  readonly examples: readonly EncodedExample[];
  readonly task: TaskSpec;
  /** Rows of a batch. */
  readonly batch: number;
  /** Plain pairs, as `planAdapter` finds them in a sketch's roles. */
  readonly adapter: AdapterPlan;
  /** A [rank, dIn] and B [dOut, rank] as received, and the heads. */
  readonly tensors: StateDict;
  readonly baseModel: Pick<BaseModel, "tokenizer" | "family" | "configJson">;
  readonly base: OpenBase;
  /** Graphs of the purpose and the modules of `sketchGraph`. */
  readonly graphFor: (length: number) => Promise<ArtifactRef>;
  readonly clock: Clock;
}

/** What kind of graph a sketch runs on, and with which ranks. */
export function sketchGraph(
  directive: SketchDirective,
  adapter: AdapterPlan,
): { readonly purpose: "train" | "activation-sketch"; readonly adapter: AdapterPlan } {
  if (adapter.adapted.some(({ form }) => form !== undefined)) {
    throw new FedLoraError("request-invalid", "a sketch needs plain pairs of A and B");
  }
  if (directive.kind === "activation-sketch") return { purpose: "activation-sketch", adapter };
  const adapted = adapter.adapted.map(({ name, rank }) => ({ name, rank: 2 * rank, trained: true }));
  return { purpose: "train", adapter: { ...adapter, adapted } };
}

/**
 * Carries out a sketch directive (see `Directive`): nothing is trained, the result's `trained` tensors are the sketches.
 *
 * Both halves of a gradient sketch come from one pass at twice the rank: with A = [Omega^T; 0] and B = [0, Psi^T] the
 * product B A is zero, so gradients are those at the base model; of the left half of B it is G Omega, of the lower half
 * of A Psi G. The scaling is 1 instead of the run's, so that none has to be taken out.
 *
 * @throws FedLoraError `cancelled` between two batches, `update-not-finite`, and what the engine throws
 */
export async function sketchAdapter(
  engine: TrainingEngine,
  work: SketchWork,
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<TrainResult> {
  const { directive, examples, adapter, base, clock } = work;
  const isGradient = directive.kind === "gradient-sketch";
  const start = clock.monotonicMs();
  const batches = cutMicroBatches(examples, work.batch);
  const buckets = chooseBuckets(batches.map(longestRow), lengthLadder(work.task.maxTokens), maxBuckets);
  const numTargets = examples.reduce((sum, example) => sum + example.numTargets, 0);
  const slot = await engine.createSlot({
    ...slotOf(work, isGradient),
    ...(base.pairs && { baseDelta: base.pairs.tensors }),
    optimizer: undefined,
  });
  try {
    let lossSum = 0;
    let engineMs = 0;
    let numTokens = 0;
    for (const [index, rows] of batches.entries()) {
      assertNotAborted(signal);
      const artifact = await work.graphFor(bucketFor(longestRow(rows), buckets));
      const padTokenId = work.baseModel.tokenizer.padTokenId;
      const weight = isGradient ? 1 / numTargets : 1;
      const inputs = makeInputs(artifact.manifest, { examples: rows, padTokenId, weight });
      const { loss, stepMs } = await engine.accumulate(
        { artifact, weightsFile: base.weightsFile, slot, inputs },
        signal,
      );
      lossSum += loss;
      engineMs += stepMs;
      numTokens += rows.reduce((sum, { tokens }) => sum + tokens.length, 0);
      const seconds = Math.max(1e-3, (clock.monotonicMs() - start) / 1000);
      const progress = { step: index + 1, totalSteps: batches.length, tokensPerSecond: numTokens / seconds };
      onProgress({ stage: "training", ...progress, loss: isGradient ? lossSum : Number.NaN });
    }
    const gradients = await engine.takeGradients(slot);
    return {
      trained: isGradient ? halves(adapter, gradients) : perRow(work, gradients, await work.graphFor(buckets[0] ?? 1)),
      metrics: {
        numExamples: examples.length,
        numSteps: batches.length,
        trainLoss: isGradient ? lossSum : undefined,
        evaluation: undefined,
        trainMs: clock.monotonicMs() - start,
      },
      optimizerState: undefined,
      stepMs: engineMs / batches.length,
    };
  } finally {
    await engine.releaseSlot(slot).catch(() => undefined);
  }
}

/** Tensors of the slot, those that get gradients, and scalings of 1. */
function slotOf(
  { adapter, tensors }: SketchWork,
  isGradient: boolean,
): { readonly tensors: StateDict; readonly trained: readonly string[]; readonly scalings: Record<string, number> } {
  const pairs = adapter.adapted.map(({ name, rank }) => ({ keys: adapterKeys(name), rank }));
  const scalings = Object.fromEntries(adapter.adapted.map(({ name }) => [name, 1]));
  if (!isGradient) return { tensors, trained: pairs.map(({ keys }) => keys.a), scalings };
  const widened = pairs.flatMap(({ keys, rank }) => {
    const [a, b] = [take(tensors, keys.a), take(tensors, keys.b)];
    return [[keys.a, stack(a, rank)] as const, [keys.b, shiftRight(b, rank)] as const];
  });
  return {
    tensors: toStateDict([...tensors, ...widened]),
    trained: pairs.flatMap(({ keys }) => [keys.a, keys.b]),
    scalings,
  };
}

/** [A; 0], [2 rank, dIn]. */
function stack(a: Tensor, rank: number): Tensor {
  const dIn = a.shape[1] ?? 0;
  const values = new Float32Array(2 * rank * dIn);
  values.set(toFloat32(a));
  return fromFloat32(values, [2 * rank, dIn]);
}

/** [0, B], [dOut, 2 rank]. */
function shiftRight(b: Tensor, rank: number): Tensor {
  const dOut = b.shape[0] ?? 0;
  const from = toFloat32(b);
  const values = new Float32Array(2 * rank * dOut);
  for (let row = 0; row < dOut; row++) {
    values.set(from.subarray(row * rank, (row + 1) * rank), row * 2 * rank + rank);
  }
  return fromFloat32(values, [dOut, 2 * rank]);
}

/** The sketches from the gradients of the widened pair. */
function halves({ adapted }: AdapterPlan, gradients: StateDict): StateDict {
  return toStateDict(
    adapted.flatMap(({ name, rank }) => {
      const keys = adapterKeys(name);
      const [a, b] = [take(gradients, keys.a), take(gradients, keys.b)];
      const [dIn = 0, dOut = 0] = [a.shape[1], b.shape[0]];
      const wide = toFloat32(b);
      const left = new Float32Array(dOut * rank);
      for (let row = 0; row < dOut; row++) {
        left.set(wide.subarray(row * 2 * rank, row * 2 * rank + rank), row * rank);
      }
      return [
        [keys.a, fromFloat32(toFloat32(a).slice(rank * dIn), [rank, dIn])] as const,
        [keys.b, fromFloat32(left, [dOut, rank])] as const,
      ];
    }),
  );
}

/** Gradients of an activation sketch over the number of rows that each module saw. */
function perRow({ adapter, examples, baseModel }: SketchWork, gradients: StateDict, graph: ArtifactRef): StateDict {
  const { family, configJson } = baseModel;
  const description = family.describe(family.parseConfig(configJson));
  const request: ArtifactRequest = graph.manifest.request;
  const numTokens = examples.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return toStateDict(
    adapter.adapted.map(({ name }) => {
      const module = description.modules.find((candidate) => candidate.name === name);
      const isPerText = module !== undefined && request.length > 1 && rowsPerText(request, description, module) === 1;
      const rows = isPerText ? examples.length : numTokens;
      const gradient = take(gradients, adapterKeys(name).a);
      const values = new Float32Array(elementCount(gradient.shape));
      toFloat32(gradient).forEach((value, i) => (values[i] = value / rows));
      return [adapterKeys(name).a, fromFloat32(values, gradient.shape)] as const;
    }),
  );
}

function take(state: StateDict, name: string): Tensor {
  const tensor = state.get(name);
  if (tensor === undefined) throw new FedLoraError("adapter-invalid", `a sketch needs the tensor "${name}"`);
  return tensor;
}
