import * as tf from "@tensorflow/tfjs";
import { FedLoraError } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { tensorOf } from "../../models/ops/value.js";
import type { Value } from "../../models/ops.js";
import type { ArtifactRef } from "../artifact.js";
import { buildProgram } from "../compile/program.js";
import type { Program } from "../compile/program.js";
import type { HostTensor, StepExecutor } from "../engine.js";
import { runOnBackend } from "./run-on-backend.js";

export interface EagerExecutorOptions {
  readonly artifact: ArtifactRef;
  readonly weightsFile: string;
  /** tfjs's name of a backend that has been initialised. */
  readonly backendName: string;
}

/** Runs an artifact's program on a TensorFlow.js backend; its graph file is not read. */
export class EagerExecutor implements StepExecutor {
  readonly #program: Program;
  readonly #backendName: string;
  readonly #weights: ReadonlyMap<string, tf.Tensor>;

  /** Loads the weights once. Throws `file-missing`, `tensor-invalid` where the weights file lacks a tensor. */
  constructor({ artifact, weightsFile, backendName }: EagerExecutorOptions) {
    this.#program = buildProgram(artifact.manifest.request);
    this.#backendName = backendName;
    const file = new SafetensorsFile(weightsFile);
    try {
      this.#weights = runOnBackend(backendName, () => {
        const names = artifact.manifest.weights.map(({ name }) => name);
        return new Map(names.map((name) => [name, weightTensor(file, name, this.#program.weightShape(name))]));
      });
    } finally {
      file.close();
    }
  }

  run(feeds: ReadonlyMap<string, HostTensor>, fetches: readonly string[]): Promise<ReadonlyMap<string, HostTensor>> {
    let results: ReadonlyMap<string, HostTensor> = new Map();
    runOnBackend(this.#backendName, () => {
      tf.tidy(() => {
        results = read(this.#outputs(feeds), fetches);
      });
    });
    return Promise.resolve(results);
  }

  dispose(): Promise<void> {
    for (const tensor of this.#weights.values()) tensor.dispose();
    return Promise.resolve();
  }

  #outputs(feeds: ReadonlyMap<string, HostTensor>): ReadonlyMap<string, Value> {
    const inputs = new Map<string, tf.Tensor>();
    for (const { name, dtype, shape } of this.#program.inputs) {
      const feed = feeds.get(name);
      if (feed?.dtype !== dtype || feed.shape.join() !== shape.join()) {
        const got = feed === undefined ? "nothing" : `${feed.dtype} [${feed.shape.join(", ")}]`;
        throw new FedLoraError("engine-failed", `input "${name}" is ${dtype} [${shape.join(", ")}], got ${got}`);
      }
      // A copy: some backends keep the array they are given.
      inputs.set(name, tf.tensor(feed.data.slice(), [...shape], dtype === "F32" ? "float32" : "int32"));
    }
    return this.#program.run(
      (name) => found(inputs, name, "input"),
      (name) => found(this.#weights, name, "weight"),
    );
  }
}

function found(tensors: ReadonlyMap<string, tf.Tensor>, name: string, what: string): tf.Tensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new FedLoraError("artifact-invalid", `the artifact has no ${what} "${name}"`);
  return tensor;
}

function read(outputs: ReadonlyMap<string, Value>, fetches: readonly string[]): Map<string, HostTensor> {
  return new Map(
    fetches.map((name): [string, HostTensor] => {
      const value = outputs.get(name);
      if (value === undefined) throw new FedLoraError("artifact-invalid", `the artifact has no output "${name}"`);
      const data = tensorOf(value).dataSync().slice();
      if (data instanceof Float32Array) return [name, { dtype: "F32", shape: value.shape, data }];
      if (data instanceof Int32Array) return [name, { dtype: "I32", shape: value.shape, data }];
      throw new FedLoraError("artifact-invalid", `output "${name}" is neither F32 nor I32`);
    }),
  );
}

function weightTensor(file: SafetensorsFile, name: string, shape: readonly number[]): tf.Tensor {
  const { bytes, dtype, shape: stored } = file.read(name);
  if (dtype !== "F32" || stored.join() !== shape.join()) {
    throw new FedLoraError("artifact-invalid", `weight "${name}" is ${dtype} [${stored.join(", ")}] in the file`);
  }
  return tf.keep(tf.tensor(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4), [...shape]));
}
