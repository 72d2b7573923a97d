import { FedLoraError, fromFloat32, type StateDict, toFloat32 } from "@fedlora/core";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ArtifactRef } from "../artifact.js";
import type { EngineName, HostTensor } from "../engine.js";
import { GoldenModel } from "../testing/golden-model.js";
import { openForkedEngine } from "./open-forked-engine.js";

/** Compiling a step's shaders takes a software driver half a minute on a busy machine. */
const timeout = 180_000;

interface Step {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** Execution provider of every node that ran, by operation. */
  readonly providers: ReadonlyMap<string, ReadonlySet<string>>;
}

/** One training step on an engine in its own process. With beta1 = 0, AdamW's first moment is the gradient. */
async function runStep(engineName: EngineName, golden: GoldenModel, artifact: ArtifactRef): Promise<Step> {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-webgpu-"));
  const profilePrefix = join(folder, "profile");
  const engine = await openForkedEngine({ engine: engineName, threads: 1, prepack: false, profilePrefix });
  const feeds = golden.feeds(artifact);
  const role = (wanted: string) => artifact.manifest.inputs.filter((input) => input.role === wanted);
  const tensors: StateDict = new Map(
    role("adapter").map(({ name, shape }) => [name, fromFloat32(feeds.get(name)!.data as Float32Array, shape)]),
  );
  const slot = await engine.createSlot({
    tensors,
    trained: [...tensors.keys()],
    scalings: Object.fromEntries(role("scaling").map(({ name, tensor }) => [tensor!, feeds.get(name)!.data[0]!])),
    optimizer: { kind: "adamw", beta1: 0, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  });
  const ofSlot = new Set([...role("adapter"), ...role("scaling")].map(({ name }) => name));
  const inputs: Record<string, HostTensor> = Object.fromEntries([...feeds].filter(([name]) => !ofSlot.has(name)));

  const { loss } = await engine.accumulate({ artifact, weightsFile: golden.weightsFile, slot, inputs });
  const rates = Object.fromEntries([...tensors.keys()].map((name) => [name, 0]));
  await engine.apply({ slot, learningRates: rates, maxGradNorm: undefined, proximalMu: undefined });
  const moments = await engine.readOptimizer(slot);
  await engine.close();

  const gradients = new Map([...tensors.keys()].map((name) => [name, toFloat32(moments.get(`${name}.exp_avg`)!)]));
  const providers = await readProviders(folder);
  await rm(folder, { recursive: true });
  return { loss, gradients, providers };
}

async function readProviders(folder: string): Promise<Map<string, Set<string>>> {
  const [file = ""] = await readdir(folder);
  const events = JSON.parse(await readFile(join(folder, file), "utf8")) as { args?: Record<string, string> }[];
  const providers = new Map<string, Set<string>>();
  for (const { args } of events) {
    const { op_name: operation, provider } = args ?? {};
    if (operation === undefined || provider === undefined) continue;
    providers.set(operation, (providers.get(operation) ?? new Set()).add(provider));
  }
  return providers;
}

/** Why no WebGPU adapter answers here, or undefined where one does: a GPU's, or that of a software driver. */
async function reasonWithoutAdapter(): Promise<string | undefined> {
  try {
    const engine = await openForkedEngine({ engine: "onnxruntime-webgpu", threads: 1, prepack: false });
    await engine.close();
    return undefined;
  } catch (thrown) {
    return FedLoraError.from(thrown).message;
  }
}

test.for(["bert-tiny", "llama-tied"])(
  "%s: a training step on WebGPU is the CPU's",
  { timeout },
  async (name, context) => {
    const reason = await reasonWithoutAdapter();
    if (reason !== undefined) {
      context.skip(`${reason}; a software driver will do, its file named in VK_ICD_FILENAMES`);
    }
    const golden = new GoldenModel(name);
    const artifact = await golden.compile(golden.request("train"));

    const expected = await runStep("onnxruntime-cpu", golden, artifact);
    const actual = await runStep("onnxruntime-webgpu", golden, artifact);

    for (const operation of ["MatMul", "Gemm", "Softmax", "ReduceSum"]) {
      expect([...(actual.providers.get(operation) ?? [])], operation).toEqual(["WebGpuExecutionProvider"]);
    }
    expect(Math.abs(actual.loss - expected.loss) / expected.loss).toBeLessThan(1e-4);
    for (const [tensor, values] of expected.gradients) {
      const gradient = actual.gradients.get(tensor)!;
      const difference = values.reduce((most, value, index) => Math.max(most, Math.abs(value - gradient[index]!)), 0);
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(difference / largest, tensor).toBeLessThan(1e-4);
    }
  },
);
