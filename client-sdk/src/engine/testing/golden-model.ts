import { FedLoraError } from "@fedlora/core";
import type { BaseModelHash, TaskSpec } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtInFamilies } from "../../models/load/family-registry.js";
import type { ArtifactPurpose, ArtifactRef, ArtifactRequest } from "../artifact.js";
import { compileArtifact } from "../compile/compile-artifact.js";
import type { EngineName, HostTensor, StepExecutor } from "../engine.js";
import { eagerBackend } from "../eager/index.js";
import { openOrt } from "../runtime/open-ort.js";
import { readWeightPlaces } from "../weight-places.js";

const folder = fileURLToPath(new URL("../../../../testdata/models/", import.meta.url));

/** One model of testdata/models: its weights file and what PyTorch made of one step. */
export class GoldenModel {
  readonly weightsFile: string;
  readonly #form: "latent" | "vera" | undefined;
  readonly #tensors: ReadonlyMap<string, HostTensor>;
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #settings: { readonly rank: number; readonly scaling: number; readonly targets: readonly string[] };

  /** @param variant of the adapter (`latent`, `vera`), or `sketch`; default: plain LoRA */
  constructor(name: string, variant?: "latent" | "vera" | "sketch") {
    this.weightsFile = join(folder, `${name}.weights.safetensors`);
    const step = variant === undefined ? name : `${name}.${variant}`;
    const file = new SafetensorsFile(join(folder, `${step}.golden.safetensors`));
    this.#form = variant === "sketch" ? undefined : variant;
    const tensors = [...file.header.tensors.keys()].map((key) => [key, hostTensor(file, key)] as const);
    this.#tensors = new Map(tensors);
    this.#config = JSON.parse(file.header.metadata.get("config") ?? "{}");
    this.#settings = JSON.parse(file.header.metadata.get("settings") ?? "{}");
    file.close();
  }

  tensor(name: string): HostTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new FedLoraError("internal", `the golden file has no "${name}"`);
    return tensor;
  }

  /** Names of the tensors that begin so, without the beginning. */
  names(prefix: string): string[] {
    return [...this.#tensors.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  request(purpose: ArtifactPurpose, changes: Partial<ArtifactRequest> = {}): ArtifactRequest {
    const family = builtInFamilies.find(({ name }) => name === this.#config["model_type"]);
    if (family === undefined) throw new FedLoraError("internal", "a golden model of no family");
    const { modules } = family.describe(family.parseConfig(this.#config));
    const isEncoder = family.name === "bert";
    const [batch = 0, length = 0] = this.tensor("input_ids").shape;
    const task: TaskSpec = isEncoder
      ? { kind: "sequence-classification", labels: ["a", "b", "c"], maxTokens: 128 }
      : { kind: "causal-lm", maxTokens: 64, maskPrompt: true };
    return {
      baseModelHash: "0".repeat(64) as BaseModelHash,
      family: family.name,
      config: this.#config,
      purpose,
      task: purpose === "embed" ? { kind: "embedding" } : task,
      batch,
      length,
      adapted: modules
        .filter(({ name }) => this.#settings.targets.some((target) => name.endsWith(`.${target}`)))
        .filter(({ name }) => !name.endsWith("attention.output.dense") && !name.includes("pooler"))
        .map(({ name }) => ({
          name,
          rank: this.#settings.rank,
          trained: true,
          ...(this.#form && { form: this.#form }),
        })),
      modulesToSave: isEncoder ? ["classifier"] : [],
      privacy: "none",
      memory: "plain",
      dropout: false,
      baseDeltaRank: 0,
      ...changes,
    };
  }

  async compile(request: ArtifactRequest, weightsFile = this.weightsFile): Promise<ArtifactRef> {
    return compileArtifact({
      request,
      weights: readWeightPlaces(weightsFile),
      outputFolder: await mkdtemp(join(tmpdir(), "fedlora-golden-")),
    });
  }

  async open(artifact: ArtifactRef, engine: EngineName, weightsFile = this.weightsFile): Promise<StepExecutor> {
    const open = engine.startsWith("tfjs-") ? eagerBackend.open.bind(eagerBackend) : openOrt;
    return open({ artifact, weightsFile, engine, threads: 1, prepack: false });
  }

  /** The batch and the adapter values of the golden step; per-example inputs get the same values for each example. */
  feeds(artifact: ArtifactRef, changes: Readonly<Record<string, HostTensor>> = {}): Map<string, HostTensor> {
    const feed = (input: ArtifactRef["manifest"]["inputs"][number]): HostTensor => {
      const changed = changes[input.name];
      if (changed !== undefined) return changed;
      if (input.role === "scaling") return floats([], [this.#settings.scaling]);
      if (input.role !== "adapter") return this.tensor(input.name);
      const value = this.tensor(`value:${input.tensor ?? ""}`);
      if (value.shape.length === input.shape.length) return value;
      return floats(input.shape, Array.from({ length: input.shape[0] ?? 0 }, () => [...value.data]).flat());
    };
    return new Map(artifact.manifest.inputs.map((input) => [input.name, feed(input)]));
  }
}

export function floats(shape: readonly number[], values: ArrayLike<number>): HostTensor {
  return { dtype: "F32", shape, data: Float32Array.from(values) };
}

export function integers(shape: readonly number[], values: ArrayLike<number>): HostTensor {
  return { dtype: "I32", shape, data: Int32Array.from(values) };
}

/** Runs one step and copies its results. */
export async function runStep(
  executor: StepExecutor,
  artifact: ArtifactRef,
  feeds: ReadonlyMap<string, HostTensor>,
): Promise<Map<string, HostTensor>> {
  const results = await executor.run(
    feeds,
    artifact.manifest.outputs.map(({ name }) => name),
  );
  return new Map([...results].map(([name, value]) => [name, { ...value, data: value.data.slice() }]));
}

/** Largest difference over the largest expected value: the measure of "to 1e-4 relative". */
export function relativeError(actual: HostTensor | undefined, expected: HostTensor): number {
  if (actual?.shape.join() !== expected.shape.join()) return Infinity;
  let difference = 0;
  let largest = 0;
  expected.data.forEach((value, index) => {
    difference = Math.max(difference, Math.abs(value - (actual.data[index] ?? NaN)));
    largest = Math.max(largest, Math.abs(value));
  });
  return Number.isNaN(difference) ? Infinity : difference / Math.max(largest, 1e-12);
}

function hostTensor(file: SafetensorsFile, name: string): HostTensor {
  const { dtype, shape, bytes } = file.read(name);
  const { buffer } = bytes.slice();
  if (dtype === "F32") return { dtype, shape, data: new Float32Array(buffer) };
  if (dtype === "I32") return { dtype, shape, data: new Int32Array(buffer) };
  throw new FedLoraError("internal", `golden tensor "${name}" is ${dtype}`);
}
