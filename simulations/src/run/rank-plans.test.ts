import { readFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadData } from "../data/load-data.js";
import type { SimulationData } from "../data/simulation-data.js";
import { linearManifest } from "../linear/linear-model.js";
import { openLinearRoom } from "../linear/open-linear-room.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { variantSpec } from "../scenario/variant-spec.js";
import { openModel, type OpenModel } from "./open-model.js";
import type { RunResult } from "./round-row.js";
import { simulateRun } from "./simulate-run.js";

/** A tenth of examples/scenarios/legend-80.yaml, with its devices and variants, on a BERT of two layers. */
const folder = mkdtempSync(join(tmpdir(), "fedlora-rank-plans-"));
const whole = parseScenario(
  readFileSync(new URL("../../../examples/scenarios/legend-80.yaml", import.meta.url), "utf8"),
);
const scenario = parseScenario(
  JSON.stringify({
    ...whole,
    data: { kind: "file", path: "mail.jsonl", label: "label", test: 0.2 },
    partition: { kind: "iid", clients: 8 },
    model: { kind: "folder", path: fileURLToPath(new URL("../../../testdata/peft/bert/base", import.meta.url)) },
    run: {
      ...whole.run,
      task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 16 },
      rounds: 3,
      cohort: { size: 8 },
    },
  }),
);
const words = ["free money offer now", "the kernel build fails here", "win a prize today", "see you at lunch"];
let model: OpenModel;
let data: SimulationData;

beforeAll(async () => {
  const lines = Array.from({ length: 80 }, (_, row) => {
    return JSON.stringify({ text: `${words[row % 4]!} ${row}`, label: row % 2 === 0 ? "spam" : "ham" });
  });
  writeFileSync(join(folder, "mail.jsonl"), lines.join("\n"));
  data = await loadData(scenario.data, folder);
  model = await openModel({
    model: scenario.model,
    data,
    workers: 1,
    folder,
    cacheFolder: join(folder, "cache"),
    progress: { say: () => undefined, preparing: () => undefined },
    signal: new AbortController().signal,
  });
});
afterAll(async () => {
  await model.room.close();
  rmSync(folder, { recursive: true, force: true });
});

function simulate(variant: string): Promise<RunResult> {
  const { manifest, room } = model;
  const spec = variantSpec(scenario, variant, 0, manifest, data.labels);
  const { signal } = new AbortController();
  return simulateRun({ scenario, folder, variant, seed: 0, spec, manifest, data, room, signal });
}

const bytesOf = ({ rounds }: RunResult): number => rounds.reduce((sum, row) => sum + row.bytesUp + row.bytesDown, 0);

test("devices of the paper's classes wait less and send less under LEGEND, by their depths", async () => {
  const [legend, fedavg, hetlora] = [await simulate("LEGEND"), await simulate("FedAvg"), await simulate("HetLoRA")];
  for (const run of [legend, fedavg, hetlora])
    expect(run).toMatchObject({ state: "completed", declines: {}, refusals: {} });

  const depthsOf = (run: RunResult, name: string): string[] => [
    ...new Set(run.rounds.flatMap(({ classes }) => Object.keys(classes[name]!.depths))),
  ];
  expect([depthsOf(legend, "tx2"), depthsOf(legend, "agx")]).toEqual([["1"], ["2"]]);
  expect([depthsOf(fedavg, "tx2"), depthsOf(hetlora, "tx2")]).toEqual([["2"], ["2"]]);
  const ranksOf = (run: RunResult, name: string): number[] => {
    const { minRank, maxRank } = run.rounds[0]!.classes[name]!;
    return [minRank, maxRank];
  };
  expect(ranksOf(fedavg, "tx2")).toEqual([8, 8]);
  expect(ranksOf(hetlora, "tx2")[1]!).toBeLessThan(ranksOf(hetlora, "agx")[1]!);
  expect(ranksOf(legend, "agx")[0]!).toBeLessThan(ranksOf(legend, "agx")[1]!);

  expect(legend.virtualMs).toBeLessThan(fedavg.virtualMs / 1.4);
  expect(legend.virtualMs).toBeLessThan(hetlora.virtualMs / 1.4);
  expect(bytesOf(legend)).toBeLessThan(bytesOf(fedavg));
  // The fast wait for the slow, who wait for nobody.
  for (const { classes } of fedavg.rounds)
    expect(classes["agx"]!.waitingMs!).toBeGreaterThan(classes["tx2"]!.waitingMs!);
  expect(legend.rounds[0]!.waitingMs!).toBeLessThan(fedavg.rounds[0]!.waitingMs! / 2);
  expect((await simulate("LEGEND")).finalHash).toBe(legend.finalHash);
});

test("on a model of one layer plans differ in ranks alone", async () => {
  const linear = parseScenario(
    JSON.stringify({
      name: "linear",
      data: { kind: "synthetic", examples: 400 },
      partition: { kind: "iid", clients: 8 },
      model: { kind: "linear" },
      devices: { classes: [{ name: "weak", stepMs: 400 }, { name: "strong" }] },
      run: {
        adapter: { rank: 4, targetModules: "all-linear" },
        method: { name: "hetlora" },
        weighting: { kind: "uniform" },
        rankPlan: { kind: "tiers", classes: { weak: { rank: 1 } } },
        rounds: 2,
        cohort: { size: 8 },
        training: { localSteps: 3, optimizer: { kind: "sgd", learningRate: 0.5 } },
      },
    }),
  );
  const numbers = await loadData(linear.data, folder);
  const manifest = linearManifest(20, 4);
  const room = await openLinearRoom(numbers, manifest, 0);
  const spec = variantSpec(linear, "run", 0, manifest, numbers.labels);
  const { signal } = new AbortController();
  const common = { folder, variant: "run", seed: 0, manifest, room, signal };
  const { state, rounds } = await simulateRun({ ...common, scenario: linear, spec, data: numbers });
  expect(state).toBe("completed");
  expect(rounds[0]!.classes).toMatchObject({
    weak: { depths: { 1: expect.any(Number) as number }, minRank: 1, maxRank: 1 },
    strong: { depths: { 1: expect.any(Number) as number }, minRank: 4, maxRank: 4 },
  });
  await room.close();
});
