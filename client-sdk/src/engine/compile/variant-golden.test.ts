import { moduleOfTensor } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { builtInFamilies } from "../../models/load/family-registry.js";
import type { EngineName, HostTensor } from "../engine.js";
import { floats, GoldenModel, relativeError, runStep } from "../testing/golden-model.js";

const tolerance = 1e-4;
const models = ["bert-tiny", "llama-tied"] as const;
const engines: readonly EngineName[] = ["onnxruntime-cpu", "tfjs-cpu", "tfjs-wasm"];
const cases = models.flatMap((name) => (["latent", "vera"] as const).map((variant) => ({ name, variant })));

const gradientNames = (golden: GoldenModel): string[] => golden.names("gradient:");
const outputNames = (names: readonly string[]): string[] => ["loss", ...names.map((name) => `gradient:${name}`)].sort();

describe.each(engines)("on %s", (engine) => {
  test.each(cases)("$variant $name: loss and the gradients of what it trains are PyTorch's", async (row) => {
    const golden = new GoldenModel(row.name, row.variant);
    const artifact = await golden.compile(golden.request("train"));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
    const names = gradientNames(golden);
    expect(artifact.manifest.outputs.map(({ name }) => name).sort()).toEqual(outputNames(names));
    expect(names.some((name) => /lora_[AB]/.test(name))).toBe(false);
    for (const name of names) {
      const error = relativeError(results.get(`gradient:${name}`), golden.tensor(`gradient:${name}`));
      expect(error, name).toBeLessThan(tolerance);
    }
  });

  test.each(cases)("$variant $name: per-example gradients are those of each row alone", async (row) => {
    const golden = new GoldenModel(row.name, row.variant);
    const artifact = await golden.compile(golden.request("train", { privacy: "per-example" }));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
    for (const name of gradientNames(golden)) {
      const rows = [0, 1, 2].map((at) => golden.tensor(`gradient${at}:${name}`));
      const expected = floats(
        [3, ...(rows[0]?.shape ?? [])],
        rows.flatMap(({ data }) => [...data]),
      );
      expect(relativeError(results.get(`gradient:${name}`), expected), name).toBeLessThan(tolerance);
    }
  });
});

test.each(cases)("$variant $name: evaluation gives the loss, recomputation changes no gradient", async (row) => {
  const golden = new GoldenModel(row.name, row.variant);
  const evaluation = await golden.compile(golden.request("evaluate"));
  const recomputed = await golden.compile(golden.request("train", { memory: "recompute" }));
  const executors = [
    await golden.open(evaluation, "onnxruntime-cpu"),
    await golden.open(recomputed, "onnxruntime-cpu"),
  ] as const;

  const evaluated = await runStep(executors[0], evaluation, golden.feeds(evaluation));
  const stepped = await runStep(executors[1], recomputed, golden.feeds(recomputed));

  for (const executor of executors) await executor.dispose();
  expect(relativeError(evaluated.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
  for (const name of gradientNames(golden)) {
    const error = relativeError(stepped.get(`gradient:${name}`), golden.tensor(`gradient:${name}`));
    expect(error, name).toBeLessThan(tolerance);
  }
});

describe.each(models)("one factor of plain LoRA alone, %s", (name) => {
  test.each([
    ["lora-b", "none"],
    ["lora-a", "none"],
    ["lora-b", "per-example"],
    ["lora-a", "per-example"],
  ] as const)("%s, privacy %s", async (kind, privacy) => {
    const golden = new GoldenModel(name);
    const whole = golden.request("train", { privacy });
    const request = { ...whole, adapted: whole.adapted.map((module) => ({ ...module, gradients: [kind] })) };
    const ending = kind === "lora-b" ? "lora_B.weight" : "lora_A.weight";
    const names = gradientNames(golden).filter((tensor) => tensor.endsWith(ending) || tensor.includes("classifier"));
    const artifact = await golden.compile(request);
    const executor = await golden.open(artifact, "onnxruntime-cpu");

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(artifact.manifest.outputs.map((output) => output.name).sort()).toEqual(outputNames(names));
    for (const tensor of names) {
      const got = results.get(`gradient:${tensor}`);
      const sum = privacy === "none" ? got : sumRows(got);
      expect(relativeError(sum, golden.tensor(`gradient:${tensor}`)), tensor).toBeLessThan(tolerance);
    }
  });

  test("its graph leaves out what the other factor would need", async () => {
    const golden = new GoldenModel(name);
    const whole = golden.request("train");
    const oneFactor = {
      ...whole,
      adapted: whole.adapted.map((module) => ({ ...module, gradients: ["lora-b" as const] })),
    };

    const [both, one] = [await golden.compile(whole), await golden.compile(oneFactor)];

    expect(one.manifest.activationBytes).toBeLessThan(both.manifest.activationBytes);
  });
});

describe.each(engines)("activation sketches on %s", (engine) => {
  test.each(models)(
    "%s: the gradient of A is A X^T X over the real tokens, whatever the padding holds",
    async (name) => {
      const golden = new GoldenModel(name, "sketch");
      const request = golden.request("activation-sketch");
      const pooled = pooledModules(golden, request.family);
      const artifact = await golden.compile(request);
      const executor = await golden.open(artifact, engine);
      const tokens = golden.tensor("input_ids");
      const mask = golden.tensor("attention_mask").data;
      const noisy = { ...tokens, data: Int32Array.from(tokens.data, (id, at) => (mask[at] === 1 ? id : 5)) };
      const feeds = golden.feeds(artifact, { loss_weights: floats([3], [1, 1, 1]), input_ids: noisy });

      const results = await runStep(executor, artifact, feeds);

      await executor.dispose();
      const names = golden.names("value:").filter((tensor) => tensor.endsWith("lora_A.weight"));
      expect(artifact.manifest.outputs.map((output) => output.name).sort()).toEqual(outputNames(names));
      for (const tensor of names) {
        const module = moduleOfTensor(tensor);
        const moment = golden.tensor(`${pooled.has(module) ? "moment_first" : "moment"}:${module}`);
        const expected = times(golden.tensor(`value:${tensor}`), moment);
        expect(relativeError(results.get(`gradient:${tensor}`), expected), tensor).toBeLessThan(tolerance);
      }
    },
  );
});

test("an activation sketch leaves out rows that do not count", async () => {
  const golden = new GoldenModel("llama-tied", "sketch");
  const artifact = await golden.compile(golden.request("activation-sketch"));
  const executor = await golden.open(artifact, "onnxruntime-cpu");
  const run = (weights: number[]) =>
    runStep(executor, artifact, golden.feeds(artifact, { loss_weights: floats([3], weights) }));

  const [all, first, others] = [await run([1, 1, 1]), await run([1, 0, 0]), await run([0, 1, 1])];

  await executor.dispose();
  for (const [name, { shape, data }] of all) {
    const sum = floats(
      shape,
      first.get(name)!.data.map((value, at) => value + others.get(name)!.data[at]!),
    );
    expect(relativeError(sum, { dtype: "F32", shape, data }), name).toBeLessThan(1e-5);
  }
});

function pooledModules(golden: GoldenModel, family: string): ReadonlySet<string> {
  const found = builtInFamilies.find(({ name }) => name === family)!;
  return new Set(found.describe(found.parseConfig(golden.request("train").config)).pooledModules ?? []);
}

function times(left: HostTensor, right: HostTensor): HostTensor {
  const [rows = 0, inner = 0] = left.shape;
  const columns = right.shape[1] ?? 0;
  const values = Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += left.data[row * inner + k]! * right.data[k * columns + column]!;
    return sum;
  });
  return floats([rows, columns], values);
}

function sumRows(tensor: HostTensor | undefined): HostTensor | undefined {
  if (tensor === undefined) return undefined;
  const shape = tensor.shape.slice(1);
  const size = tensor.data.length / (tensor.shape[0] ?? 1);
  const values = Array.from({ length: size }, (_, at) => {
    let sum = 0;
    for (let row = 0; row < (tensor.shape[0] ?? 0); row++) sum += tensor.data[row * size + at] ?? 0;
    return sum;
  });
  return floats(shape, values);
}
