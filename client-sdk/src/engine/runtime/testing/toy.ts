import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromFloat32 } from "@fedlora/core";
import type { ArtifactRef } from "../../artifact.js";
import type { HostTensor, SlotSpec } from "../../engine.js";
import { readArtifact } from "../read-artifact.js";

const folder = fileURLToPath(new URL("../../../../../testdata/engine/", import.meta.url));

/** `testdata/engine/golden.json`: PyTorch's results for the toy graphs. */
export interface ToyGolden {
  readonly tensors: Readonly<Record<string, { readonly shape: number[]; readonly values: number[] }>>;
  readonly scaling: number;
  readonly tokens: number[];
  readonly labels: number[];
  readonly lossWeights: number[];
  readonly loss: number;
  readonly losses: number[];
  readonly gradients: Readonly<Record<string, number[]>>;
  readonly gradNorm: number;
}

export interface Toy {
  readonly artifact: ArtifactRef;
  readonly weightsFile: string;
  readonly golden: ToyGolden;
  readonly slot: SlotSpec;
  /** The golden batch. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  remove(): Promise<void>;
}

/** A copy of a tiny artifact in a folder of its own, since opening it puts the weights beside the graph. */
export async function copyToy(name: "toy" | "toy-per-example" | "toy-evaluate" | "slow" | "wide"): Promise<Toy> {
  const temporary = await mkdtemp(join(tmpdir(), "fedlora-toy-"));
  await cp(join(folder, name), join(temporary, name), { recursive: true });
  const weightsFile = join(temporary, "canonical.safetensors");
  await cp(join(folder, "weights.safetensors"), weightsFile);
  const golden = JSON.parse(await readFile(join(folder, "golden.json"), "utf8")) as ToyGolden;
  return {
    artifact: await readArtifact(join(temporary, name)),
    weightsFile,
    golden,
    slot: name === "slow" ? constantSlot(1) : name === "wide" ? constantSlot(512) : toySlot(golden),
    inputs: name === "slow" || name === "wide" ? {} : toyInputs(golden),
    remove: () => rm(temporary, { recursive: true, force: true }),
  };
}

const optimizer = { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;

function toySlot(golden: ToyGolden): SlotSpec {
  const tensors = Object.entries(golden.tensors).map(
    ([name, { shape, values }]) => [name, fromFloat32(new Float32Array(values), shape)] as const,
  );
  const trained = Object.keys(golden.tensors);
  return { tensors: new Map(tensors), trained, scalings: { linear: golden.scaling }, optimizer };
}

function constantSlot(size: number): SlotSpec {
  const x = fromFloat32(new Float32Array(size * size).fill(1 / 1024), [size, size]);
  return { tensors: new Map([["x", x]]), trained: ["x"], scalings: {}, optimizer };
}

function toyInputs(golden: ToyGolden): Record<string, HostTensor> {
  return {
    tokens: { dtype: "I32", shape: [3, 4], data: new Int32Array(golden.tokens) },
    labels: { dtype: "I32", shape: [3], data: new Int32Array(golden.labels) },
    loss_weights: { dtype: "F32", shape: [3], data: new Float32Array(golden.lossWeights) },
  };
}
