import { seededSecrets, type TrainResult } from "@fedlora/client-sdk";
import {
  adapterKeys,
  adapterLayout,
  compileRunSpec,
  fromFloat32,
  headKeys,
  resolveAdapter,
  toFloat32,
  toStateDict,
  type PlanPrivacy,
} from "@fedlora/core";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FeatureTableBuilder, vectorView, type FeatureTable } from "../data/simulation-data.js";
import { ClientData } from "../runtime/client-data.js";
import type { RoomWorker } from "../runtime/trainer-room.js";
import { biasHead, linearManifest, linearModule } from "./linear-model.js";
import { startLinearThread } from "./linear-thread.js";
import { LinearTrainer } from "./linear-trainer.js";

type Part = "a" | "b" | "r" | "bias";
type Example = PlanPrivacy & { readonly mode: "example" };

interface Case extends Readonly<Record<"a" | "b" | "bias", number[]>> {
  readonly rank: number;
  readonly labels: number;
  readonly dIn: number;
  readonly scaling: number;
  readonly clipping: Example["clipping"];
  readonly clipNorm: number;
  readonly r: number[] | null;
  readonly x: number[][];
  readonly y: number[];
  readonly sums: Readonly<Partial<Record<Part, number[]>>>;
}

const file = new URL("../../../testdata/linear/dp-sgd.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { readonly cases: Case[] };
const keys = { ...adapterKeys(linearModule), bias: headKeys(biasHead).weight };
const partOf = (name: string): Part => (["a", "b", "r", "bias"] as const).find((part) => keys[part] === name)!;

function tableOf({ dIn, x, y }: Case): FeatureTable {
  const builder = new FeatureTableBuilder(dIn);
  x.forEach((row, index) => builder.add(row, y[index]!));
  return builder.build();
}

/** A request of one step of SGD with learning rate 1 that expects to take every example, unless the change says otherwise. */
function requestOf(each: Case, privacy: Partial<Example> = {}, training: object = {}, seed = 1) {
  const { rank, labels, dIn, scaling, y } = each;
  const manifest = linearManifest(dIn, labels);
  const spec = compileRunSpec(
    {
      name: "private",
      model: { hash: manifest.hash },
      task: { kind: "sequence-classification", labels: Array.from({ length: labels }, (_, label) => String(label)) },
      method: { name: each.r === null ? "fedavg" : "fed-sb" },
      adapter: {
        ...{ rank, alpha: scaling * rank, targetModules: "all-linear" },
        ...(each.r !== null && { variant: "latent" }),
      },
      rounds: 1,
      cohort: { size: 1 },
      training: {
        ...{ localSteps: 1, batchSize: y.length, optimizer: { kind: "sgd", learningRate: 1, weightDecay: 0 } },
        ...training,
      },
    },
    { manifest },
  );
  const roles = adapterLayout(resolveAdapter(spec.adapter, manifest, spec.task)).map((tensor) => {
    const trained = each.sums[partOf(tensor.name)] !== undefined;
    return { spec: tensor, trained, uploaded: trained, downloaded: true, keep: "none" as const };
  });
  const start = toStateDict(
    roles.map(({ spec: { name, shape } }) => [name, fromFloat32(Float32Array.from(each[partOf(name)]!), shape)]),
  );
  const table = tableOf(each);
  return {
    manifest,
    table,
    request: {
      instructions: {
        ...{ format: "fedlora-instructions/1" as const, updateForm: "delta" as const, uploadLayout: [] },
        ...{ task: spec.task, adapter: spec.adapter, training: spec.training, roles },
        ...{ codec: "f32", directives: [], keepOptimizerState: false, seed: 0 },
        privacy: {
          ...{ mode: "example" as const, noiseMultiplier: 1e-9, delta: 1e-5, minExamples: y.length },
          ...{ clipNorm: each.clipNorm, clipping: each.clipping },
          ...privacy,
        },
      },
      start,
      data: new ClientData("own", vectorView(table), {
        trainRows: Int32Array.from(y.keys()),
        heldOutRows: new Int32Array(0),
      }),
      round: 1,
      streamKey: "client",
      optimizerState: undefined,
      secrets: seededSecrets(seed),
    },
  };
}

function train(...[each, ...changes]: Parameters<typeof requestOf>): Promise<TrainResult> {
  const { manifest, table, request } = requestOf(each, ...changes);
  return new LinearTrainer(table, manifest).train(request);
}

/** What the step took off, times what it was divided by: the sum that it applied. */
function sumOf(each: Case, result: TrainResult, part: Part): number[] {
  const before = each[part]!;
  return [...toFloat32(result.trained.get(keys[part])!)].map((value, i) => (before[i]! - value) * each.y.length);
}

describe.each(cases.map((each, index) => ({ each, index })))("case $index, clipping $each.clipping", ({ each }) => {
  test("sums the clipped gradients of the examples as numpy does", async () => {
    const result = await train(each);

    expect([...result.trained.keys()].map(partOf).sort()).toEqual(Object.keys(each.sums).sort());
    for (const [part, sums] of Object.entries(each.sums)) {
      sumOf(each, result, part as Part).forEach((value, i) => expect(value).toBeCloseTo(sums[i]!, 4));
    }
  });
});

const [plain] = cases as [Case];

test("the noise has the deviation noiseMultiplier x clipNorm, whatever the batch", async () => {
  // All examples have gradients of zero in A where B is zero: what is left there is noise.
  const silent = { ...plain, b: plain.b.map(() => 0) };
  const values: number[] = [];
  for (let seed = 0; seed < 60; seed += 1) {
    values.push(...sumOf(silent, await train(silent, { noiseMultiplier: 2 }, {}, seed), "a"));
  }
  const deviation = Math.hypot(...values) / Math.sqrt(values.length);
  // 1080 draws: a standard error of 2 %.
  expect(deviation / (2 * plain.clipNorm)).toBeGreaterThan(0.92);
  expect(deviation / (2 * plain.clipNorm)).toBeLessThan(1.08);
});

test("what it cost is told to the owner alone, and neither losses nor counts are sent", async () => {
  const result = await train(plain, { noiseMultiplier: 1.5 }, { localSteps: 7, batchSize: 3 });

  expect(result.privacy).toEqual({
    numExamples: 9,
    events: [{ mechanism: { kind: "sampled-gaussian", noiseMultiplier: 1.5, samplingRate: 3 / 9 }, count: 7 }],
  });
  expect(result.metrics).toMatchObject({ numExamples: 1, trainLoss: undefined });
});

test.each<[string, Partial<Example>, object, string]>([
  ["too few examples", { minExamples: 10 }, {}, "privacy-invalid"],
  ["epochs, whose steps tell the number of examples", {}, { localSteps: undefined, localEpochs: 1 }, "privacy-invalid"],
  ["no noise", { noiseMultiplier: 0 }, {}, "privacy-invalid"],
])("%s: refused", async (_, privacy, training, code) => {
  await expect(train(plain, privacy, training)).rejects.toMatchObject({ code });
});

describe("in a thread", () => {
  let thread: RoomWorker;
  beforeAll(async () => {
    const { table, manifest } = requestOf(plain);
    thread = await startLinearThread(table, manifest);
  });
  afterAll(() => thread.trainer.close());

  test("the same secrets give the same bits, another training other ones", async () => {
    const { manifest, table, request } = requestOf(plain, { noiseMultiplier: 1 }, { localSteps: 4, batchSize: 3 });
    const inline = new LinearTrainer(table, manifest);
    const signal = new AbortController().signal;
    const here = [await inline.train(request), await inline.train(request)];
    const again = { ...request, secrets: seededSecrets(1) };
    const there = [
      await thread.trainer.train(again, signal, () => undefined),
      await thread.trainer.train(again, signal, () => undefined),
    ];
    expect(there.map(({ trained }) => trained)).toEqual(here.map(({ trained }) => trained));
    expect(here[0]!.trained).not.toEqual(here[1]!.trained);
  });
});
