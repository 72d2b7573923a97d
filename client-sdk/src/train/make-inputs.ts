import { FedLoraError } from "@fedlora/core";
import type { ArtifactInput, ArtifactManifest } from "../engine/artifact.js";
import type { HostTensor } from "../engine/engine.js";
import type { EncodedExample } from "./encode-example.js";

export interface BatchRequest {
  /** At most as many examples as the graph has rows, none longer than its rows. */
  readonly examples: readonly EncodedExample[];
  readonly padTokenId: number;
  /**
   * Weight of each of an example's targets in the graph's loss: 1 / (targets of the whole optimizer step) for a mean, 1 for
   * a sum, by example 1 / (its own targets) for a sum of the examples' means.
   */
  readonly weight: number | ((example: EncodedExample) => number);
  /** By input name, for a graph that drops out. */
  readonly dropoutMasks?: ReadonlyMap<string, Float32Array>;
}

/**
 * What a graph reads of a batch, by input name: tokens, mask, labels and loss weights; the rest is the slot's. Rows and positions without an
 * example are padding: weight 0, mask 0 (a padding row keeps its first position, so that its attention is defined).
 *
 * @throws FedLoraError `artifact-invalid` for a graph that asks for something else
 */
export function makeInputs(
  manifest: Pick<ArtifactManifest, "inputs" | "request">,
  request: BatchRequest,
): Record<string, HostTensor> {
  const inputs: Record<string, HostTensor> = {};
  for (const input of manifest.inputs) {
    const tensor = makeInput(input, manifest.request.length, request);
    if (tensor !== undefined) inputs[input.name] = tensor;
  }
  return inputs;
}

function makeInput(input: ArtifactInput, length: number, request: BatchRequest): HostTensor | undefined {
  const { examples, padTokenId } = request;
  const weight = (example: EncodedExample): number =>
    typeof request.weight === "number" ? request.weight : request.weight(example);
  const size = input.shape.reduce((product, dimension) => product * dimension, 1);
  const rows = input.shape[0] ?? 0;
  switch (input.role) {
    case "adapter":
    case "scaling":
    case "base-delta":
      return undefined;
    case "tokens": {
      const data = new Int32Array(size).fill(padTokenId);
      examples.forEach(({ tokens }, row) => data.set(tokens, row * length));
      return { dtype: "I32", shape: input.shape, data };
    }
    case "attention-mask": {
      const data = new Int32Array(size);
      for (let row = 0; row < rows; row++) {
        data.fill(1, row * length, row * length + Math.max(1, examples[row]?.tokens.length ?? 0));
      }
      return { dtype: "I32", shape: input.shape, data };
    }
    case "labels": {
      const data = new Int32Array(size);
      if (input.shape.length === 1) examples.forEach(({ label }, row) => (data[row] = label));
      else forEachTarget(examples, length, (at, token) => (data[at] = token));
      return { dtype: "I32", shape: input.shape, data };
    }
    case "loss-weights": {
      const data = new Float32Array(size);
      if (input.shape.length === 1) examples.forEach((example, row) => (data[row] = weight(example)));
      else forEachTarget(examples, length, (at, _, example) => (data[at] = weight(example)));
      return { dtype: "F32", shape: input.shape, data };
    }
    case "position": {
      const data = new Int32Array(size);
      examples.forEach(({ tokens }, row) => (data[row] = tokens.length - 1));
      return { dtype: "I32", shape: input.shape, data };
    }
    case "dropout-mask": {
      const data = request.dropoutMasks?.get(input.name);
      if (data === undefined) throw new FedLoraError("artifact-invalid", "the graph drops out unasked");
      return { dtype: "F32", shape: input.shape, data };
    }
  }
}

/** Calls `set` with the flat index of each position that predicts a target, the target, and its example. */
function forEachTarget(
  examples: readonly EncodedExample[],
  length: number,
  set: (at: number, token: number, example: EncodedExample) => void,
): void {
  examples.forEach((example, row) => {
    const { tokens, targetStart } = example;
    for (let position = targetStart; position < tokens.length; position++) {
      set(row * length + position - 1, tokens[position] ?? 0, example);
    }
  });
}
