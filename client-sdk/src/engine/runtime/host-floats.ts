import { FedLoraError, elementCount } from "@fedlora/core";
import type { Tensor } from "@fedlora/core";

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/**
 * A tensor's values as a new array: stored bytes may be unaligned or shared.
 *
 * Throws `tensor-invalid` unless it is F32, of the shape given (where one is) and has the bytes of its shape.
 */
export function toFloats(name: string, tensor: Tensor, shape: readonly number[] = tensor.shape): Float32Array {
  const count = elementCount(shape);
  if (tensor.dtype !== "F32" || !sameShape(tensor.shape, shape) || tensor.bytes.byteLength !== count * 4) {
    throw new FedLoraError(
      "tensor-invalid",
      `tensor "${name}" is ${tensor.dtype} [${tensor.shape.join(", ")}] with ${tensor.bytes.byteLength} bytes, ` +
        `expected F32 [${shape.join(", ")}] with ${count * 4}`,
    );
  }
  const floats = new Float32Array(count);
  new Uint8Array(floats.buffer).set(tensor.bytes);
  return floats;
}

/** A tensor with a copy of the values. */
export function toTensor(shape: readonly number[], data: Float32Array): Tensor {
  return { dtype: "F32", shape: [...shape], bytes: new Uint8Array(data.slice().buffer) };
}
