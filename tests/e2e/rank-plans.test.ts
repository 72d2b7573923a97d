import type { LocalTrainer } from "@fedlora/client-sdk";
import { readSafetensors, toFloat32, type RunId, type StateDict } from "@fedlora/core";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { someMail, TinyFederation } from "./tiny-federation.js";

let federation: TinyFederation;
beforeAll(async () => {
  federation = await TinyFederation.open("rank-plans");
});
afterAll(() => federation.close());

/** The shared trainer, on a device whose layers take so long in each round; the probe is round 0. */
function trainerOf(layerMs: (round: number) => number): LocalTrainer {
  const { trainer } = federation;
  const times = (round: number) => {
    return { forwardMs: 10, layerMs: layerMs(round), batchTokens: 64, forwardBytes: undefined, layerBytes: undefined };
  };
  return {
    ...trainer,
    train: async (request, signal, onProgress) => {
      return { ...(await trainer.train(request, signal, onProgress)), stepTimes: times(request.round) };
    },
    probe: () => Promise.resolve(times(0)),
  };
}

async function eventsOf(runId: RunId) {
  const events = [];
  const { admin } = federation.coordinator.service;
  for await (const event of admin.watch(runId, 0, new AbortController().signal)) events.push(event);
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
  const spec = federation.spec({
    name: "legend",
    adapter: { rank: 4, targetModules: ["query", "value"] },
    method: { name: "legend" },
    // A minute is more than an upload here takes: only what the trainers say decides.
    rankPlan: { kind: "legend", smoothing: 0, rankStep: 2, maxWaitMs: 60_000 },
    rounds: 4,
    cohort: { size: 2, quorum: 2 },
    training: { localSteps: 2, batchSize: 4, optimizer: { learningRate: 0.01 } },
  });
  const trainers = [trainerOf(() => 1), trainerOf((round) => (round < 2 ? 300_000 : 1))];
  const { runId, detail, failures } = await federation.train(spec, ["fast", "slow"], someMail, (index) => {
    return { trainer: trainers[index]! };
  });
  expect(failures).toEqual([]);

  const events = await eventsOf(runId);
  expect(events.at(-1)?.kind).toBe("run-completed");
  const { numLayers } = federation.workbench.baseModel.manifest;
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
  const blobs = join(federation.folder, "storage");
  const adapters = await Promise.all(
    detail.rounds.slice(0, 2).map(async ({ adapterBlobId }) => {
      const files = await readdir(blobs, { recursive: true });
      const path = files.find((file) => file.endsWith(adapterBlobId))!;
      return readSafetensors(await readFile(join(blobs, path))).tensors;
    }),
  );
  expect(changedLayers(adapters[0]!, adapters[1]!)).toEqual(Array.from({ length: numLayers }, (_, layer) => layer));

  const trained = await Promise.all(
    (await readdir(join(federation.folder, "cache", "artifacts"))).map(async (key) => {
      const text = await readFile(join(federation.folder, "cache", "artifacts", key, "artifact.json"), "utf8");
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
