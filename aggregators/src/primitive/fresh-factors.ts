import { deriveKey, fromFloat32, randomKey, RandomStream } from "@fedlora/core";
import type { Tensor, TensorSpec } from "@fedlora/core";

/**
 * A new A [rank, dIn] as PEFT starts one, uniform in +-1 / sqrt(dIn): a stream of its own for every seed, round, tensor
 * and purpose.
 */
export function freshA({ name, shape }: TensorSpec, seed: number, purpose: string, round: number): Tensor {
  const [rank = 0, dIn = 0] = shape;
  const stream = new RandomStream(deriveKey(randomKey(seed), purpose, round, name));
  const bound = 1 / Math.sqrt(dIn);
  return fromFloat32(stream.uniforms(rank * dIn, -bound, bound), shape);
}

export function zeroTensor({ shape }: TensorSpec): Tensor {
  return fromFloat32(new Float32Array(shape.reduce((count, size) => count * size, 1)), shape);
}
