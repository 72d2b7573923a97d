import {
  FederatedClient,
  loadBaseModel,
  openModelWorkbench,
  type LocalTrainer,
  type ModelWorkbench,
} from "@fedlora/client-sdk";
import { compileRunSpec, readSafetensors, toFloat32, type RunId, type StateDict } from "@fedlora/core";
import { createCoordinator, type Coordinator } from "@fedlora/coordinator";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

/** A tiny BERT that really trains, at speeds that are made up; coordinator, gRPC and SDK are the real ones. */
const model = fileURLToPath(new URL("../../testdata/peft/bert/base", import.meta.url));
const words = ["free money offer now", "the kernel build fails here", "win a prize today", "see you at lunch"];

let folder: string;
let coordinator: Coordinator;
let workbench: ModelWorkbench;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-rank-plans-"));
  coordinator = await createCoordinator(
    { listen: "127.0.0.1:0", http: "off", storage: join(folder, "storage"), pollWaitMs: 1000 },
    { tuning: { settleMs: 0, retryMs: 20, graceMs: 0 } },
  );
  const cacheFolder = join(folder, "cache");
  const baseModel = await loadBaseModel(model, { cacheFolder });
  await coordinator.service.admin.registerModel(baseModel.manifest);
  workbench = openModelWorkbench({ baseModel, cacheFolder, engine: { engine: "onnxruntime-cpu", threads: 1 } });
});

afterAll(async () => {
  await workbench.close();
  await coordinator.close();
  await rm(folder, { recursive: true, force: true });
});

/** The shared trainer, on a device whose layers take so long in each round; the probe is round 0. */
function trainerOf(layerMs: (round: number) => number): LocalTrainer {
  const { trainer } = workbench;
  const times = (round: number) => {
    return { forwardMs: 10, layerMs: layerMs(round), batchTokens: 64, forwardBytes: undefined, layerBytes: undefined };
  };
  return {
    train: async (request, signal, onProgress) => {
      return { ...(await trainer.train(request, signal, onProgress)), stepTimes: times(request.round) };
    },
    evaluate: trainer.evaluate.bind(trainer),
    probe: () => Promise.resolve(times(0)),
    close: () => Promise.resolve(),
  };
}

async function takePart(name: string, trainer: LocalTrainer): Promise<string[]> {
  const examples = Array.from({ length: 12 }, (_, row) => {
    return { text: `${words[row % 4]!} ${row}`, label: row % 2 === 0 ? "spam" : "ham" };
  });
  const client = new FederatedClient({
    coordinator: coordinator.address,
    name,
    baseModel: model,
    stateFolder: join(folder, "states", name),
    data: { name, train: () => examples, evaluation: () => examples.slice(0, 4) },
    trainer,
    baseModelHash: workbench.baseModel.manifest.hash,
    retry: { baseDelayMs: 20, maxDelayMs: 200 },
  });
  const declined: string[] = [];
  for await (const event of client.run()) if (event.type === "declined") declined.push(event.reason);
  await client.close();
  return declined;
}

async function eventsOf(runId: RunId) {
  const events = [];
  for await (const event of coordinator.service.admin.watch(runId, 0, new AbortController().signal)) events.push(event);
  return events;
}

/** Which layers of two adapters differ. */
function changedLayers(before: StateDict, after: StateDict): number[] {
  const isSame = (name: string): boolean => {
    const [a, b] = [before, after].map((state) => toFloat32(state.get(name)!));
    return a!.every((value, index) => value === b![index]);
  };
  const changed = [...after.keys()].filter((name) => name.includes(".layer.") && !isSame(name));
  return [...new Set(changed.map((name) => Number(/\.layer\.(\d+)\./.exec(name)![1])))].sort();
}

test("a slow client trains the top layer alone until it is fast, and each depth is compiled once", async () => {
  const { admin } = coordinator.service;
  const { summary } = await admin.createRun(
    "key",
    compileRunSpec({
      name: "legend",
      model: { hash: workbench.baseModel.manifest.hash },
      task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 16 },
      adapter: { rank: 4, targetModules: ["query", "value"] },
      method: { name: "legend" },
      // A minute is more than an upload here takes: only what the trainers say decides.
      rankPlan: { kind: "legend", smoothing: 0, rankStep: 2, maxWaitMs: 60_000 },
      rounds: 4,
      cohort: { size: 2, quorum: 2 },
      training: { localSteps: 2, batchSize: 4, optimizer: { learningRate: 0.01 } },
    }),
  );
  const declined = await Promise.all([
    takePart(
      "fast",
      trainerOf(() => 1),
    ),
    takePart(
      "slow",
      trainerOf((round) => (round < 2 ? 300_000 : 1)),
    ),
  ]);
  expect(declined).toEqual([[], []]);

  const events = await eventsOf(summary.runId);
  expect(events.at(-1)?.kind).toBe("run-completed");
  const { numLayers } = workbench.baseModel.manifest;
  const planned = events.flatMap(({ kind, data }) =>
    kind === "round-started" ? [data["cohort"] as { clientId: string; depth: number }[]] : [],
  );
  const slow = planned[0]!.find(({ depth }) => depth < numLayers)!.clientId;
  const depths = planned.map((cohort) => cohort.find(({ clientId }) => clientId === slow)!.depth);
  // Its second round's report may come just after the third round was planned.
  expect([depths[0], depths[1], depths[3]]).toEqual([1, 1, numLayers]);
  for (const cohort of planned) expect(cohort.find(({ clientId }) => clientId !== slow)?.depth).toBe(numLayers);

  const bytesOf = (isSlow: boolean): number[] =>
    events
      .filter(({ kind, clientId }) => kind === "update-accepted" && (clientId === slow) === isSlow)
      .map(({ data }) => data["bytes"] as number);
  const [slowBytes, fastBytes] = [bytesOf(true), bytesOf(false)];
  expect(slowBytes[0]!).toBeLessThan(fastBytes[0]!);
  expect(slowBytes[3]).toBe(fastBytes[3]);

  // What the slow client leaves alone is trained by the other, and reaches the global adapter.
  const { rounds } = await admin.getRun(summary.runId);
  const blobs = join(folder, "storage");
  const adapters = await Promise.all(
    rounds.slice(0, 2).map(async ({ adapterBlobId }) => {
      const files = await readdir(blobs, { recursive: true });
      const path = files.find((file) => file.endsWith(adapterBlobId))!;
      return readSafetensors(await readFile(join(blobs, path))).tensors;
    }),
  );
  expect(changedLayers(adapters[0]!, adapters[1]!)).toEqual(Array.from({ length: numLayers }, (_, layer) => layer));

  const trained = await Promise.all(
    (await readdir(join(folder, "cache", "artifacts"))).map(async (key) => {
      const text = await readFile(join(folder, "cache", "artifacts", key, "artifact.json"), "utf8");
      const { request } = JSON.parse(text) as {
        request: { purpose: string; length: number; adapted: { trained: boolean }[] };
      };
      const depth = request.adapted.filter((module) => module.trained).length / 2;
      return request.purpose === "train" ? [`${depth} layers, ${request.length} tokens`] : [];
    }),
  );
  const graphs = trained.flat();
  expect(new Set(graphs).size).toBe(graphs.length);
  expect(graphs.map((graph) => Number(graph.split(" ")[0])).sort()).toEqual([1, numLayers]);
});
