import type { ModelManifest } from "@fedlora/core";
import { mkdir, open, rm, type FileHandle } from "node:fs/promises";
import { join, resolve } from "node:path";
import { loadData } from "../data/load-data.js";
import type { DataInfo, SimulationData } from "../data/simulation-data.js";
import { QueueRoom, type QueueRoomOptions } from "../queue/queue-room.js";
import { assertReachable, type QueueOptions } from "../queue/queue-session.js";
import type { Room } from "../runtime/room.js";
import type { Scenario } from "../scenario/scenario-schema.js";
import { assertScenario } from "../scenario/check-scenario.js";
import { variantScenario } from "../scenario/variant-scenario.js";
import { plainVariant, variantSpec } from "../scenario/variant-spec.js";
import { assertDataSuffice } from "./assert-data-suffice.js";
import { openModel } from "./open-model.js";
import { referenceRun } from "./reference-runs.js";
import type { RoundRow, RunResult } from "./round-row.js";
import { simulateRun } from "./simulate-run.js";

export interface ScenarioProgress {
  say(text: string): void;
  /** A model that the scenario trains itself; `share` in 0..1. */
  preparing(share: number, text: string): void;
  /** A run's round is over; `trainerMs` is how long trainers have worked so far, all together. */
  round(row: RoundRow, rounds: number, trainerMs: number): void;
  /** Ends the bars, so that plain text can follow. */
  end(): void;
}

/** How workers are reached, and what a person calls to start one. */
export type RemoteWorkers = QueueOptions & Pick<QueueRoomOptions, "workerCommand">;

export interface RunScenarioOptions {
  readonly scenario: Scenario;
  /** Where the scenario's relative paths begin. */
  readonly folder: string;
  readonly variants: readonly string[];
  readonly seeds: readonly number[];
  readonly workers: number;
  /** Workers in other processes, in the place of `workers`; undefined: none. */
  readonly queue?: RemoteWorkers | undefined;
  /** Gets rounds.jsonl; made when missing. */
  readonly outFolder: string;
  readonly cacheFolder: string;
  readonly progress: ScenarioProgress;
  readonly signal: AbortSignal;
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly data: DataInfo;
  readonly model: { readonly name: string; readonly hash: string };
  readonly engine: { readonly name: string; readonly fingerprint: string };
  readonly workers: number;
  readonly runs: readonly RunResult[];
}

/**
 * Runs every variant with every seed, one after the other, on one copy of data and model. Writes a line per round as it goes.
 * What can be wrong with the scenario is found as early as it can be: before the data are read, before the model is opened,
 * before the first run.
 */
export async function runScenario(options: RunScenarioOptions): Promise<ScenarioResult> {
  const { scenario, folder, variants, seeds, workers, queue, outFolder, cacheFolder, progress } = options;
  assertScenario(scenario, variants);
  if (queue !== undefined) await assertReachable(queue);
  progress.say(`Reading the data: ${scenario.data.kind}`);
  const data = await loadData(scenario.data, folder);
  for (const variant of variants) {
    const spec = variantSpec(scenario, variant, 0, undefined, data.labels);
    await assertDataSuffice(variantScenario(scenario, variant), data, seeds, spec, folder);
  }
  const { manifest, room } = await openModel({
    model: scenario.model,
    data,
    workers: queue === undefined ? workers : (manifest) => openQueueRoom(queue, manifest, data, options),
    folder,
    cacheFolder: resolve(cacheFolder),
    progress,
    signal: options.signal,
  });
  const signal = room.lost === undefined ? options.signal : AbortSignal.any([options.signal, room.lost]);
  let file: FileHandle | undefined;
  try {
    const planned = variants.flatMap((variant) =>
      seeds.map((seed) => ({
        variant,
        seed,
        scenario: variantScenario(scenario, variant),
        spec: variantSpec(scenario, variant, seed, manifest, data.labels),
      })),
    );
    const references = scenario.references.flatMap((kind) =>
      seeds.map((seed) => {
        return { kind, seed, spec: variantSpec(scenario, plainVariant, seed, manifest, data.labels) };
      }),
    );
    await mkdir(outFolder, { recursive: true });
    await rm(join(outFolder, "rounds.jsonl"), { force: true });
    const rows = (file = await open(join(outFolder, "rounds.jsonl"), "w"));
    const runs: RunResult[] = [];
    const finish = async (run: RunResult): Promise<void> => {
      for (const row of run.rounds) await rows.write(`${JSON.stringify(row)}\n`);
      runs.push(run);
    };
    for (const each of references) {
      progress.say(`Without a federation: ${each.kind}, seed ${each.seed}`);
      await finish(await referenceRun({ scenario, ...each, manifest, data, room, signal }));
    }
    for (const each of planned) {
      const onRound = (row: RoundRow): void => progress.round(row, each.spec.rounds, room.busyMs);
      await finish(await simulateRun({ folder, ...each, manifest, data, room, signal, onRound }));
    }
    const { name, fingerprint } = room.engine;
    return {
      scenario,
      data: data.info,
      model: { name: manifest.name, hash: manifest.hash },
      engine: { name, fingerprint },
      workers: room.size,
      runs,
    };
  } finally {
    progress.end();
    await file?.close();
    await room.close();
  }
}

function openQueueRoom(
  queue: RemoteWorkers,
  manifest: ModelManifest,
  data: SimulationData,
  { scenario, progress, signal }: RunScenarioOptions,
): Promise<Room> {
  return QueueRoom.open({
    ...queue,
    name: scenario.name,
    content: { data: data.info.sha256, model: manifest.hash },
    numLabels: data.labels?.length ?? 0,
    say: (text) => progress.say(text),
    signal,
  });
}
