import {
  adapterSchema,
  initialAdapter,
  type PlanInstructions,
  type PlanPrivacy,
  readSafetensors,
  resolveAdapter,
  type StateDict,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineName } from "../engine/engine.js";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import {
  dataOf,
  openTinyWorkbench,
  type PeftGolden,
  readPeftGolden,
  requestOf,
  type TinyWorkbench,
  trainEverything,
} from "../testing/tiny-models.js";
import type { TrainingProgress, TrainResult } from "../train/local-trainer.js";
import { seededSecrets } from "./secrets.js";

const goldenFolder = new URL("../../../testdata/privacy/dp-sgd/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("golden.json", goldenFolder), "utf8")) as {
  labels: number[];
  bert: { clipNorm: number };
  llama: { clipNorm: number };
};
const sumsOf = (model: Kind, clipping: Clipping): StateDict =>
  readSafetensors(readFileSync(new URL(`${model}-${clipping}.safetensors`, goldenFolder))).tensors;

type Kind = "bert" | "llama";
type Example = PlanPrivacy & { readonly mode: "example" };
type Clipping = Example["clipping"];
const clippings: readonly Clipping[] = ["flat", "per-layer", "automatic"];

let peft: PeftGolden;
const open: Partial<Record<Kind, TinyWorkbench>> = {};
beforeAll(async () => {
  peft = await readPeftGolden();
  for (const kind of ["bert", "llama"] as const) open[kind] = await openTinyWorkbench(kind);
});
afterAll(async () => {
  for (const workbench of Object.values(open)) await workbench.remove();
});

const examplesOf = (kind: Kind): readonly object[] =>
  kind === "bert"
    ? peft.bert.texts.map((text, index) => ({ text, label: golden.labels[index]! }))
    : peft.llama.examples.map(({ prompt, completion }) => ({ prompt, completion }));

/** Noise too small to see, unless the change brings other. */
const privacyOf = (kind: Kind, change: Partial<Example> = {}): Example => ({
  mode: "example",
  noiseMultiplier: 1e-9,
  clipNorm: golden[kind].clipNorm,
  delta: 1e-5,
  clipping: "flat",
  minExamples: examplesOf(kind).length,
  ...change,
});

const sgd = { kind: "sgd", learningRate: 1, weightDecay: 0 } as const;

interface Run {
  readonly adapter?: SavedAdapter;
  readonly training?: Parameters<typeof trainEverything>[1];
  readonly privacy?: Partial<Example>;
  readonly plan?: Partial<PlanInstructions>;
  readonly workbench?: TinyWorkbench;
  readonly seed?: number;
  readonly onProgress?: (progress: TrainingProgress) => void;
}

/** One step of SGD over all examples (sampling rate 1) unless the run says otherwise. */
async function run(
  kind: Kind,
  { adapter, training, privacy, plan, seed = 1, ...rest }: Run = {},
): Promise<TrainResult> {
  const workbench = rest.workbench ?? open[kind]!;
  const start = adapter ?? (await workbench.readAdapter("plain"));
  const batchSize = examplesOf(kind).length;
  const instructions = trainEverything(
    start,
    { localSteps: 1, batchSize, optimizer: sgd, ...training },
    { privacy: privacyOf(kind, privacy), ...plan },
  );
  const secrets = seededSecrets(seed);
  const request = requestOf(instructions, start.tensors, dataOf(examplesOf(kind)), { secrets });
  return workbench.trainer.train(request, new AbortController().signal, rest.onProgress ?? (() => undefined));
}

/** What a step of learning rate 1 took off, times the expected batch: the sum that it applied. */
async function sumApplied(kind: Kind, result: TrainResult, batch: number, adapter?: SavedAdapter): Promise<StateDict> {
  const start = adapter ?? (await open[kind]!.readAdapter("plain"));
  return toStateDict(
    [...result.trained].map(([name, tensor]) => {
      const before = toFloat32(start.tensors.get(name)!);
      const change = toFloat32(tensor).map((value, i) => (before[i]! - value) * batch);
      return [name, { ...tensor, bytes: new Uint8Array(change.buffer) }];
    }),
  );
}

function expectClose(got: StateDict, wanted: StateDict, tolerance: number): void {
  expect([...got.keys()]).toEqual([...wanted.keys()].sort());
  for (const [name, tensor] of wanted) {
    const values = toFloat32(tensor);
    const scale = Math.hypot(...values);
    const error = Math.hypot(...toFloat32(got.get(name)!).map((value, i) => value - values[i]!));
    expect(error / (scale + 1e-3), name).toBeLessThan(tolerance);
  }
}

const cases = (["bert", "llama"] as const).flatMap((kind) => clippings.map((clipping) => ({ kind, clipping })));

test.each(cases)("$kind: a step with $clipping clipping is PyTorch's, sample by sample", async ({ kind, clipping }) => {
  const result = await run(kind, { privacy: { clipping } });

  expectClose(await sumApplied(kind, result, examplesOf(kind).length), sumsOf(kind, clipping), 1e-4);
});

test.each(["tfjs-wasm", "tfjs-cpu"] as const)("%s takes the same step", async (engine: EngineName) => {
  const workbench = await openTinyWorkbench("bert", engine);
  try {
    const result = await run("bert", { workbench });

    expectClose(await sumApplied("bert", result, 6), sumsOf("bert", "flat"), 1e-4);
  } finally {
    await workbench.remove();
  }
});

test.each(cases)("$kind: $clipping clipping of batches of one adds up to one batch", async ({ kind, clipping }) => {
  const rows = examplesOf(kind).length;
  const together = await run(kind, { privacy: { clipping } });

  const alone = await run(kind, { privacy: { clipping }, training: { batchSize: 1, gradientAccumulation: rows } });

  expectClose(alone.trained, together.trained, 1e-5);
});

describe("what methods train", () => {
  const targets = { bert: ["query", "value"], llama: ["q_proj", "v_proj"] };
  const variants = (["latent", "vera"] as const).flatMap((variant) =>
    (["bert", "llama"] as const).map((kind) => ({ variant, kind })),
  );

  /** One client of a run whose adapter is of that variant, all values away from zero. */
  function variantOf(kind: Kind, variant: "latent" | "vera"): SavedAdapter {
    const { baseModel, task } = open[kind]!;
    const spec = adapterSchema.parse({ rank: 3, targetModules: targets[kind], variant });
    const initial = initialAdapter(resolveAdapter(spec, baseModel.manifest, task), 5);
    const tensors = toStateDict(
      [...initial].map(([name, tensor]) => {
        const values = toFloat32(tensor).map((value, i) => value + 0.1 * Math.sin(i + name.length));
        return [name, { ...tensor, bytes: new Uint8Array(values.buffer) }];
      }),
    );
    return { spec, task, tensors };
  }
  const training = (adapter: SavedAdapter, isTrained: (name: string) => boolean): Partial<PlanInstructions> => ({
    roles: [...adapter.tensors].map(([name, { dtype, shape }]) => {
      const trained = isTrained(name);
      return { spec: { name, dtype, shape }, trained, uploaded: trained, downloaded: true, keep: "none" };
    }),
  });

  test.each(variants)("$variant of $kind", async ({ variant, kind }) => {
    const adapter = variantOf(kind, variant);
    const plan = training(adapter, (name) => /lora_R|vera_lambda|classifier/.test(name));
    const privacy = { clipNorm: 0.05 };
    const rows = examplesOf(kind).length;

    const together = await run(kind, { adapter, plan, privacy });
    const alone = await run(kind, { adapter, plan, privacy, training: { batchSize: 1, gradientAccumulation: rows } });

    const sum = await sumApplied(kind, together, rows, adapter);
    const norm = Math.hypot(...[...sum.values()].flatMap((tensor) => [...toFloat32(tensor)]));
    expect(norm).toBeGreaterThan(0.05);
    expect(norm).toBeLessThanOrEqual(0.05 * rows * 1.001);
    expectClose(alone.trained, together.trained, 1e-4);
  });

  test("B alone, as in FFA-LoRA: the norm that is clipped is that of B", async () => {
    const adapter = await open.llama!.readAdapter("plain");
    const plan = training(adapter, (name) => name.includes("lora_B"));
    const privacy = { clipNorm: 0.5 };

    const { trained, metrics } = await run("llama", { plan, privacy });

    const sum = await sumApplied("llama", { trained, metrics } as TrainResult, 4);
    const norm = Math.hypot(...[...sum.values()].flatMap((tensor) => [...toFloat32(tensor)]));
    expect([...trained.keys()].every((name) => name.includes("lora_B"))).toBe(true);
    // All four gradients are longer than the clip norm, and no two point the same way.
    expect(norm).toBeGreaterThan(0.5);
    expect(norm).toBeLessThan(2);
  });
});

test.each([0.3, 2.5])(
  "the noise of a step has the deviation of multiplier %f times the clip norm",
  async (multiplier) => {
    const clipNorm = 100;
    const quiet = await run("bert", { privacy: { clipNorm } });

    const differences: number[] = [];
    for (let seed = 1; seed <= 12; seed++) {
      const noisy = await run("bert", { seed, privacy: { clipNorm, noiseMultiplier: multiplier } });
      for (const [name, tensor] of noisy.trained) {
        const without = toFloat32(quiet.trained.get(name)!);
        differences.push(...toFloat32(tensor).map((value, i) => (value - without[i]!) * 6));
      }
    }

    const variance = differences.reduce((sum, value) => sum + value * value, 0) / differences.length;
    const ratio = variance / (multiplier * clipNorm) ** 2;
    // A correct sampler is outside for one seed in 10^9.
    expect(differences.length).toBeGreaterThan(6000);
    expect(Math.abs(ratio - 1)).toBeLessThan(6.11 * Math.sqrt(2 / differences.length));
  },
);

test("any optimizer, dropout, LoRA+ and a schedule go with it; the keys decide every bit", async () => {
  const adapter = await open.bert!.readAdapter("plain");
  const spec = { ...adapter.spec, dropout: 0.2 };
  const settings = {
    adapter: { ...adapter, spec },
    training: {
      localSteps: 4,
      batchSize: 2,
      optimizer: { kind: "adamw", learningRate: 0.01, weightDecay: 0.1, loraPlusRatio: 4 },
      schedule: { kind: "cosine", warmupSteps: 1 },
      proximalMu: 0.1,
    },
    privacy: { noiseMultiplier: 1 },
  } as const;

  const first = await run("bert", settings);
  const again = await run("bert", settings);
  const other = await run("bert", { ...settings, seed: 2 });

  expect(again.trained).toEqual(first.trained);
  expect(other.trained).not.toEqual(first.trained);
});

test("the metrics tell nothing, the progress is the owner's, the events are what an accountant needs", async () => {
  const losses: number[] = [];
  const training = { localSteps: 5, batchSize: 2 };

  const result = await run("bert", {
    training,
    privacy: { noiseMultiplier: 1.5 },
    onProgress: ({ stage, loss }) => stage === "training" && losses.push(loss),
  });

  expect(result.metrics).toEqual({
    numExamples: 1,
    numSteps: 5,
    trainLoss: undefined,
    evaluation: undefined,
    trainMs: 0,
  });
  expect(losses).toHaveLength(5);
  expect(losses.some((loss) => loss > 0)).toBe(true);
  const mechanism = { kind: "sampled-gaussian", noiseMultiplier: 1.5, samplingRate: 2 / 6 };
  expect(result.privacy).toEqual({ numExamples: 6, events: [{ mechanism, count: 5 }] });
});

test("empty batches are steps of pure noise", async () => {
  const losses: number[] = [];

  const { trained } = await run("bert", {
    training: { localSteps: 30, batchSize: 1 },
    privacy: { noiseMultiplier: 1 },
    onProgress: ({ stage, loss }) => stage === "training" && losses.push(loss),
  });

  const empty = losses.filter((loss) => Number.isNaN(loss)).length;
  expect(empty).toBeGreaterThan(2);
  expect(empty).toBeLessThan(25);
  for (const tensor of trained.values()) expect(toFloat32(tensor).every(Number.isFinite)).toBe(true);
});
