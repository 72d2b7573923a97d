import { copyFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { HostTensor } from "../engine.js";
import { openOrt } from "./open-ort.js";
import { ortBackend } from "./ort-backend.js";
import { placeWeights } from "./place-weights.js";
import { readArtifact } from "./read-artifact.js";
import { sessionOptions } from "./session-options.js";
import { copyToy } from "./testing/toy.js";
import type { Toy } from "./testing/toy.js";

let toy: Toy;
beforeAll(async () => {
  toy = await copyToy("toy");
});
afterAll(() => toy.remove());

function feedsOf({ artifact, golden, inputs }: Toy): Map<string, HostTensor> {
  const feeds = new Map<string, HostTensor>(Object.entries(inputs));
  for (const { name, role, tensor, shape } of artifact.manifest.inputs) {
    if (role === "adapter") {
      feeds.set(name, { dtype: "F32", shape, data: new Float32Array(golden.tensors[tensor!]!.values) });
    }
    if (role === "scaling") feeds.set(name, { dtype: "F32", shape: [], data: new Float32Array([golden.scaling]) });
  }
  return feeds;
}

test.each(["onnxruntime-cpu", "onnxruntime-web"] as const)("%s runs the graph with mapped weights", async (engine) => {
  const { artifact, weightsFile, golden } = toy;
  const executor = await openOrt({ artifact, weightsFile, engine, threads: 1, prepack: false });
  const feeds = feedsOf(toy);

  const first = await executor.run(feeds, ["loss", "grad_a"]);
  const firstLoss = first.get("loss")!.data[0];
  const gradient = [...first.get("grad_a")!.data];
  // The same objects with other values: what is in the arrays counts, not what was there at the first run.
  feeds.get("a")!.data.fill(0);
  feeds.get("b")!.data.fill(0);
  const second = await executor.run(feeds, ["loss", "grad_a"]);
  await executor.dispose();

  expect(firstLoss).toBeCloseTo(golden.loss, 4);
  const expected = Object.values(golden.gradients).find((values) => values.length === gradient.length)!;
  gradient.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 3));
  expect(second.get("loss")!.data[0]).not.toBeCloseTo(golden.loss, 1);
  expect([...second.get("grad_a")!.data].every((value) => value === 0)).toBe(true);
});

test("weights are linked, not copied, and replaced when the canonical file is another one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-place-"));
  const [old, current] = [join(folder, "old"), join(folder, "current")];
  await writeFile(old, "old!");
  await writeFile(current, "current");
  const target = join(folder, "weights.safetensors");

  await placeWeights(folder, old);
  await placeWeights(folder, old);
  expect((await stat(target)).ino).toBe((await stat(old)).ino);
  await placeWeights(folder, current);
  expect(await readFile(target, "utf8")).toBe("current");
  expect(await readFile(old, "utf8")).toBe("old!");
  expect((await stat(target)).nlink).toBe(2);
  await rm(folder, { recursive: true });
});

test("a graph that is not ONNX is refused with its path", async () => {
  const broken = await copyToy("toy");
  await copyFile(broken.weightsFile, join(broken.artifact.folder, "step.onnx"));

  const opened = openOrt({ ...broken, engine: "onnxruntime-cpu", threads: 1, prepack: false });

  await expect(opened).rejects.toMatchObject({ code: "engine-failed", message: expect.stringContaining("step.onnx") });
  await expect(readArtifact(broken.artifact.folder)).rejects.toMatchObject({
    code: "artifact-invalid",
    message: expect.stringContaining("hash"),
  });
  await broken.remove();
});

test("a damaged manifest names the field", async () => {
  const broken = await copyToy("toy");
  const path = join(broken.artifact.folder, "artifact.json");
  await writeFile(path, JSON.stringify({ ...broken.artifact.manifest, activationBytes: "many" }));

  await expect(readArtifact(broken.artifact.folder)).rejects.toMatchObject({
    code: "artifact-invalid",
    message: expect.stringContaining("activationBytes"),
  });
  await writeFile(path, "{");
  await expect(readArtifact(broken.artifact.folder)).rejects.toMatchObject({ code: "artifact-invalid" });
  await broken.remove();
});

test("a product runs on both packages, and the version is told", async () => {
  for (const engine of ["onnxruntime-cpu", "onnxruntime-web"] as const) {
    const product = await ortBackend.openProduct(engine, 8, 4, 2, 1);
    await product.run();
    await product.dispose();
    expect((await ortBackend.describe(engine, { prepack: false })).version).toMatch(/^onnxruntime-\w+ 1\.\d+/);
  }
});

test("the house options, all extra values strings", () => {
  const options = sessionOptions({
    engine: "onnxruntime-cpu",
    threads: 3,
    prepack: false,
    disabledOptimizers: ["CommonSubexpressionElimination"],
  });
  expect(options).toMatchObject({
    enableMemPattern: false,
    intraOpNumThreads: 3,
    extra: {
      session: { disable_prepacking: "1", intra_op: { allow_spinning: "0" } },
      optimization: { disable_specified_optimizers: "ConstantFolding;CommonSubexpressionElimination" },
    },
  });
});
