import * as tf from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import type { EngineName } from "../engine.js";
import { floats, GoldenModel, runStep } from "../testing/golden-model.js";
import { eagerBackend } from "./index.js";

test.each<[EngineName, number]>([
  ["tfjs-wasm", 200],
  ["tfjs-cpu", 60],
])("%s: %i steps leave no more tensors than 20", async (engine, steps) => {
  const golden = new GoldenModel("llama-tied");
  const artifact = await golden.compile(golden.request("train", { length: 7, memory: "recompute", dropout: true }));
  const executor = await golden.open(artifact, engine);
  const masks = artifact.manifest.inputs.filter(({ role }) => role === "dropout-mask");
  const ones = masks.map(({ name, shape }) => [name, floats(shape, new Float32Array(3 * 7 * 32).fill(1))] as const);
  const feeds = golden.feeds(artifact, Object.fromEntries(ones));
  const run = async (count: number): Promise<void> => {
    for (let step = 0; step < count; step++) await executor.run(feeds, ["loss"]);
  };

  await run(20);
  const before = tf.memory();
  await run(steps - 20);
  const after = tf.memory();
  await executor.dispose();

  expect(after.numTensors).toBe(before.numTensors);
  expect(after.numDataBuffers).toBe(before.numDataBuffers);
  expect(tf.memory().numTensors).toBe(before.numTensors - artifact.manifest.weights.length);
});

test("a feed of another shape is refused by name", async () => {
  const golden = new GoldenModel("llama-tied");
  const artifact = await golden.compile(golden.request("train"));
  const executor = await golden.open(artifact, "tfjs-cpu");
  const feeds = golden.feeds(artifact, { input_ids: golden.tensor("labels"), loss_weights: floats([1], [1]) });

  await expect(async () => runStep(executor, artifact, feeds)).rejects.toMatchObject({
    code: "engine-failed",
    message: expect.stringContaining("loss_weights") as string,
  });

  await executor.dispose();
});

test("an engine that is not installed says so", async () => {
  await expect(eagerBackend.describe("tfjs-node", { prepack: false })).rejects.toMatchObject({
    code: "engine-unavailable",
  });
});

test("describes and times the products of an engine", async () => {
  const { version } = await eagerBackend.describe("tfjs-cpu", { prepack: false });
  const product = await eagerBackend.openProduct("tfjs-cpu", 4, 5, 6, 1);

  await product.run();

  await product.dispose();
  expect(version).toMatch(/^@tensorflow\/tfjs \d/);
});
