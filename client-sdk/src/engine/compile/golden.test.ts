import { fromFloat32, toFloat32 } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ArtifactRef } from "../artifact.js";
import type { EngineName, HostTensor } from "../engine.js";
import { Slot } from "../runtime/slot.js";
import { floats, GoldenModel, integers, relativeError, runStep } from "../testing/golden-model.js";

const tolerance = 1e-4;
const models = ["bert-tiny", "bert-tiny-tanh", "llama-tied", "llama-untied", "llama-interleaved"] as const;
const engines: readonly EngineName[] = ["onnxruntime-cpu", "tfjs-cpu", "tfjs-wasm"];

describe.each(engines)("on %s", (engine) => {
  test.each(models)("%s: loss and every gradient are PyTorch's", async (name) => {
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("train"));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
    const names = golden.names("gradient:");
    expect(artifact.manifest.outputs.map(({ name: output }) => output).sort()).toEqual(
      ["loss", ...names.map((tensor) => `gradient:${tensor}`)].sort(),
    );
    for (const tensor of names) {
      const error = relativeError(results.get(`gradient:${tensor}`), golden.tensor(`gradient:${tensor}`));
      expect(error, tensor).toBeLessThan(tolerance);
    }
  });

  test.each(models)("%s: per-example gradients are those of batches of one", async (name) => {
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("train", { privacy: "per-example" }));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
    for (const tensor of golden.names("gradient:")) {
      const rows = [0, 1, 2].map((row) => golden.tensor(`gradient${row}:${tensor}`));
      const expected = floats(
        [3, ...(rows[0]?.shape ?? [])],
        rows.flatMap(({ data }) => [...data]),
      );
      expect(relativeError(results.get(`gradient:${tensor}`), expected), tensor).toBeLessThan(tolerance);
    }
  });

  test.each(models)("%s: evaluation", async (name) => {
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("evaluate"));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    for (const output of name.startsWith("bert") ? ["loss", "losses", "logits"] : ["loss", "losses"]) {
      expect(relativeError(results.get(output), golden.tensor(output)), output).toBeLessThan(tolerance);
    }
  });

  test.each(["bert-tiny", "bert-tiny-tanh"])("%s: embeddings", async (name) => {
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("embed", { modulesToSave: [] }));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(relativeError(results.get("embedding"), golden.tensor("embedding"))).toBeLessThan(tolerance);
  });

  test.each(["llama-tied", "llama-untied", "llama-interleaved"])("%s: next-token logits", async (name) => {
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("generate"));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    expect(relativeError(results.get("logits"), golden.tensor("logits"))).toBeLessThan(tolerance);
  });

  test.each(["bert-tiny", "llama-tied"])("%s: recomputation changes nothing", async (name) => {
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("train", { memory: "recompute" }));
    const executor = await golden.open(artifact, engine);

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    for (const tensor of golden.names("gradient:")) {
      const error = relativeError(results.get(`gradient:${tensor}`), golden.tensor(`gradient:${tensor}`));
      expect(error, tensor).toBeLessThan(tolerance);
    }
  });
});

test.each(["bert-tiny", "llama-tied"])("%s: more padding changes neither loss nor gradients", async (name) => {
  const golden = new GoldenModel(name);
  const length = 12;
  const artifact = await golden.compile(golden.request("train", { length }));
  const executor = await golden.open(artifact, "onnxruntime-cpu");
  const perToken =
    name === "bert-tiny" ? ["input_ids", "attention_mask"] : ["input_ids", "attention_mask", "labels", "loss_weights"];
  const padded = Object.fromEntries(perToken.map((input) => [input, widen(golden.tensor(input), length)]));

  const results = await runStep(executor, artifact, golden.feeds(artifact, padded));

  await executor.dispose();
  expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(1e-5);
  for (const tensor of golden.names("gradient:")) {
    const error = relativeError(results.get(`gradient:${tensor}`), golden.tensor(`gradient:${tensor}`));
    expect(error, tensor).toBeLessThan(tolerance);
  }
});

const noOptimizer = { kind: "sgd", beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0 } as const;

test.each(["none", "per-example"] as const)("a graph of a higher rank trains the same adapter: %s", async (privacy) => {
  const golden = new GoldenModel("bert-tiny");
  const request = golden.request("train", { privacy });
  const adapted = request.adapted.map((module) => ({ ...module, rank: module.rank + 3 }));
  const artifact = await golden.compile({ ...request, adapted });
  const executor = await golden.open(artifact, "onnxruntime-cpu");
  const names = golden.names("gradient:");
  const tensors = new Map(
    names.map((name) => {
      const { shape, data } = golden.tensor(`value:${name}`);
      return [name, fromFloat32(data as Float32Array, shape)];
    }),
  );
  const slot = new Slot({ tensors, trained: names, scalings: {}, optimizer: noOptimizer });
  const fed = artifact.manifest.inputs
    .filter(({ role }) => role === "adapter")
    .map(({ name, shape }) => [name, slot.feed(name, shape)] as const);

  const results = await runStep(executor, artifact, golden.feeds(artifact, Object.fromEntries(fed)));
  await executor.dispose();
  slot.addGradients(new Map(names.map((name) => [name, results.get(`gradient:${name}`)!])), undefined);

  expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
  for (const [name, gradient] of slot.takeGradients()) {
    const expected = golden.tensor(`gradient:${name}`);
    expect(relativeError(floats(gradient.shape, toFloat32(gradient)), expected), name).toBeLessThan(tolerance);
  }
});

test.each(["bert-tiny", "llama-tied"])(
  "%s: layers that are not trained are applied, and cost no backward pass",
  async (name) => {
    const golden = new GoldenModel(name);
    const request = golden.request("train", { modulesToSave: [] });
    const top = Math.max(...request.adapted.map((module) => layerOf(module.name)));
    const adapted = request.adapted.map((module) => ({ ...module, trained: layerOf(module.name) === top }));
    const whole = await golden.compile(request);
    const artifact = await golden.compile({ ...request, adapted });
    const executor = await golden.open(artifact, "onnxruntime-cpu");

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    // The lower layers' adapters count: without them the loss would be another.
    expect(relativeError(results.get("loss"), golden.tensor("loss"))).toBeLessThan(tolerance);
    const trained = golden.names("gradient:").filter((tensor) => layerOf(tensor) === top);
    expect([...results.keys()].sort()).toEqual(["loss", ...trained.map((tensor) => `gradient:${tensor}`)].sort());
    for (const tensor of trained) {
      const error = relativeError(results.get(`gradient:${tensor}`), golden.tensor(`gradient:${tensor}`));
      expect(error, tensor).toBeLessThan(tolerance);
    }
    const nodes = async ({ folder, manifest }: ArtifactRef): Promise<number> =>
      (await readFile(join(folder, manifest.graphFile))).toString("latin1").split("MatMul").length;
    const [forward, part, full] = [
      await golden.compile(golden.request("evaluate", { modulesToSave: [] })),
      artifact,
      whole,
    ];
    const [least, less, most] = [await nodes(forward), await nodes(part), await nodes(full)];
    // Of the backward pass' products the lower half of the layers is gone.
    expect((less - least) / (most - least)).toBeLessThan(0.6);
  },
);

/** Index of the layer that a name speaks of; -1 outside of them. */
const layerOf = (name: string): number => Number(/\.(\d+)\./.exec(name)?.[1] ?? -1);

/** Adds columns of zeros to [B, T]. */
function widen(tensor: HostTensor, length: number): HostTensor {
  const [batch = 0, width = 0] = tensor.shape;
  const make = tensor.dtype === "F32" ? floats : integers;
  const values = Array.from({ length: batch * length }, (_, at) => {
    const column = at % length;
    return column < width ? (tensor.data[Math.floor(at / length) * width + column] ?? 0) : 0;
  });
  return make([batch, length], values);
}
