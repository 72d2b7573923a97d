import { loadBaseModel, openModelWorkbench } from "@fedlora/client-sdk";
import type { BaseModel, ModelWorkbench } from "@fedlora/client-sdk";
import {
  adapterKeys,
  adapterLayout,
  compileRunSpec,
  layoutOf,
  readSafetensors,
  resolveAdapter,
  toFloat32,
} from "@fedlora/core";
import type { RunSpec, RunSpecInput, StateDict } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradientAdapter } from "./gradient-adapter.js";
import { principalAdapter } from "./principal-adapter.js";

const folder = fileURLToPath(new URL("../../testdata/peft", import.meta.url));
let cacheFolder: string;
let baseModel: BaseModel;
let workbench: ModelWorkbench;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-init-test-"));
  baseModel = await loadBaseModel(join(folder, "llama/base"), { cacheFolder });
  workbench = openModelWorkbench({ baseModel, cacheFolder, engine: { engine: "onnxruntime-cpu", threads: 1 } });
});
afterAll(async () => {
  await workbench.close();
  await rm(cacheFolder, { recursive: true });
});

function specOf(adapter: Partial<RunSpecInput["adapter"]>): RunSpec {
  return compileRunSpec(
    {
      name: "start",
      model: { hash: baseModel.manifest.hash },
      task: { kind: "causal-lm", maxTokens: 64 },
      method: { name: adapter.variant === "latent" ? "fed-sb" : "fedavg", options: {} },
      adapter: { rank: 3, alpha: 6, targetModules: ["q_proj", "v_proj"], ...adapter },
      training: { batchSize: 3 },
      rounds: 5,
      cohort: { size: 1 },
    },
    { manifest: baseModel.manifest },
  );
}
const resolved = (spec: RunSpec) => resolveAdapter(spec.adapter, baseModel.manifest, spec.task);
const values = (state: StateDict, name: string): Float32Array => toFloat32(state.get(name)!);

/** x [rows, inner] times y [inner, columns], both by rows. */
function product(x: ArrayLike<number>, y: ArrayLike<number>, inner: number): number[] {
  const [rows, columns] = [x.length / inner, y.length / inner];
  return Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += x[Math.floor(at / columns) * inner + k]! * y[k * columns + (at % columns)]!;
    return sum;
  });
}
function transposed(x: ArrayLike<number>, columns: number): number[] {
  const rows = x.length / columns;
  return Array.from({ length: x.length }, (_, at) => x[(at % rows) * columns + Math.floor(at / rows)]!);
}

describe("PiSSA's adapter of a model", () => {
  test("has the run's layout, and takes the largest part out of every adapted weight", async () => {
    const spec = specOf({});
    const told: string[] = [];

    const { tensors, leftOut } = await principalAdapter(baseModel, spec, (name) => told.push(name));

    const { modules } = resolved(spec);
    expect(layoutOf(tensors)).toEqual(adapterLayout(resolved(spec)));
    expect(told).toEqual(modules.map(({ name }) => name));
    const file = new SafetensorsFile(await baseModel.weightsFile());
    for (const { name, rank, scaling } of modules) {
      const { a, b } = adapterKeys(name);
      const weight = toFloat32(file.read(`${name}.weight`));
      const taken = product(values(tensors, b), values(tensors, a), rank).map((x) => scaling * x);
      const squares = (list: ArrayLike<number>): number => Array.from(list).reduce((sum, x) => sum + x * x, 0);
      const rest = taken.map((x, i) => weight[i]! - x);
      expect(squares(rest) / squares(weight)).toBeCloseTo(leftOut.get(name)!, 4);
      // What is left is orthogonal to what was taken: nothing of the leading directions stays behind.
      expect(Math.abs(taken.reduce((sum, x, i) => sum + x * rest[i]!, 0)) / squares(weight)).toBeLessThan(1e-4);
    }
    file.close();
  });

  test("is refused for another variant", async () => {
    const made = principalAdapter(baseModel, specOf({ variant: "latent" }), () => undefined);

    await expect(made).rejects.toMatchObject({ code: "spec-invalid" });
  });
});

describe("LoRA-SB's adapter from local data", () => {
  const noSignal = new AbortController().signal;
  const init = { kind: "gradient" as const, examples: 100, step: 0.01, sign: true };
  const readData = async () => {
    const golden = JSON.parse(await readFile(join(folder, "golden.json"), "utf8")) as {
      llama: { examples: { prompt: string; completion: string }[] };
    };
    const examples = golden.llama.examples.map(({ prompt, completion }) => ({ prompt, completion }));
    return { name: "public", train: () => examples };
  };

  test("holds the leading singular triplets of the simulated first step of PyTorch's gradient", async () => {
    // Twice the rank plus one is more than the modules' sides: nothing is lost to the sketches.
    const spec = specOf({ variant: "latent", rank: 8, alpha: 12, targetModules: ["q_proj"] });
    const work = { baseModel, trainer: workbench.trainer, spec, init, data: await readData() };

    const { tensors, metrics } = await gradientAdapter(work, noSignal, () => undefined);

    expect(layoutOf(tensors)).toEqual(adapterLayout(resolved(spec)));
    expect(metrics["sketchError"]).toBe(0);
    expect(metrics["orthonormality"]).toBeLessThan(1e-5);
    const sketches = readSafetensors(await readFile(join(folder, "sketches.safetensors"))).tensors;
    for (const { name, rank, dIn, scaling } of resolved(spec).modules) {
      const { a, b, r } = adapterKeys(name);
      const change = values(sketches, `llama/gradient:${name}`).map((x) => -init.step * Math.sign(x));
      const left = transposed(values(tensors, b), rank);
      const core = product(product(left, change, change.length / dIn), transposed(values(tensors, a), dIn), dIn);
      const largest = Math.max(...values(tensors, r)) * scaling;
      values(tensors, r).forEach((x, i) => expect(Math.abs(scaling * x - core[i]!)).toBeLessThan(1e-3 * largest));
      expect(largest).toBeGreaterThan(init.step);
    }
  });

  test("is refused for a plain adapter", async () => {
    const work = { baseModel, trainer: workbench.trainer, spec: specOf({}), init, data: await readData() };

    await expect(gradientAdapter(work, noSignal, () => undefined)).rejects.toMatchObject({ code: "spec-invalid" });
  });
});
