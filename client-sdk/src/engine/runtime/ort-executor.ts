import { FedLoraError, elementCount } from "@fedlora/core";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { ArtifactOutput } from "../artifact.js";
import type { HostTensor, StepExecutor } from "../engine.js";
import type { OnnxRuntime } from "./load-onnxruntime.js";

export interface OrtExecutorOptions {
  readonly ort: OnnxRuntime;
  readonly session: InferenceSession;
  readonly outputs: readonly ArtifactOutput[];
  /** The runtime writes into arrays given to it. onnxruntime-web does not: it returns new ones. */
  readonly reuseOutputs: boolean;
}

/**
 * One open ONNX Runtime session. A feed's wrapper is kept as long as the feed's object lives, and outputs are written
 * into arrays made at the first run, so a step allocates nothing on the JavaScript side.
 */
export class OrtExecutor implements StepExecutor {
  readonly #options: OrtExecutorOptions;
  readonly #wrapped = new WeakMap<HostTensor, Tensor>();
  readonly #reused = new Map<string, { readonly wrapper: Tensor; readonly host: HostTensor }>();
  readonly #outputs: ReadonlyMap<string, ArtifactOutput>;

  constructor(options: OrtExecutorOptions) {
    this.#options = options;
    this.#outputs = new Map(options.outputs.map((output) => [output.name, output]));
  }

  async run(
    feeds: ReadonlyMap<string, HostTensor>,
    fetches: readonly string[],
  ): Promise<ReadonlyMap<string, HostTensor>> {
    const inputs: Record<string, Tensor> = {};
    for (const [name, host] of feeds) inputs[name] = this.#wrap(host);
    try {
      if (!this.#options.reuseOutputs) {
        const results = await this.#options.session.run(inputs, [...fetches]);
        return new Map(fetches.map((name) => [name, unwrap(name, results[name])]));
      }
      const targets: Record<string, Tensor> = {};
      for (const name of fetches) targets[name] = this.#target(name).wrapper;
      await this.#options.session.run(inputs, targets);
      return new Map(fetches.map((name) => [name, this.#target(name).host]));
    } catch (cause) {
      throw engineFailed("the step failed", cause);
    }
  }

  async dispose(): Promise<void> {
    await this.#options.session.release();
  }

  #wrap(host: HostTensor): Tensor {
    const known = this.#wrapped.get(host);
    if (known !== undefined) return known;
    const wrapper = this.#make(host);
    this.#wrapped.set(host, wrapper);
    return wrapper;
  }

  #target(name: string): { readonly wrapper: Tensor; readonly host: HostTensor } {
    const known = this.#reused.get(name);
    if (known !== undefined) return known;
    const output = this.#outputs.get(name);
    if (output === undefined) throw new FedLoraError("artifact-invalid", `the graph has no output "${name}"`);
    const count = elementCount(output.shape);
    const data = output.dtype === "F32" ? new Float32Array(count) : new Int32Array(count);
    const host: HostTensor = { dtype: output.dtype, shape: output.shape, data };
    const target = { host, wrapper: this.#make(host) };
    this.#reused.set(name, target);
    return target;
  }

  #make(host: HostTensor): Tensor {
    const { Tensor } = this.#options.ort;
    return host.data instanceof Float32Array
      ? new Tensor("float32", host.data, host.shape)
      : new Tensor("int32", host.data, host.shape);
  }
}

/** Runtime errors carry source locations and stack lines around the sentence that says what is wrong. */
export function engineFailed(what: string, cause: unknown): FedLoraError {
  if (cause instanceof FedLoraError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const sentence = (message.split("\n", 1)[0] ?? "").replace(/^\/\S+ .* was false\. /, "");
  return new FedLoraError("engine-failed", `${what}: ${sentence}`, { cause });
}

function unwrap(name: string, tensor: Tensor | undefined): HostTensor {
  const data = tensor?.data;
  if (tensor !== undefined && data instanceof Float32Array) return { dtype: "F32", shape: tensor.dims, data };
  if (tensor !== undefined && data instanceof Int32Array) return { dtype: "I32", shape: tensor.dims, data };
  throw new FedLoraError(
    "artifact-invalid",
    `output "${name}" is ${tensor?.type ?? "missing"}, expected float32 or int32`,
  );
}
