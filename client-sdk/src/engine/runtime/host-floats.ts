import { FedLoraError, copyFloat32, elementCount, fromFloat32, shapesEqual } from "@fedlora/core";
import type { Tensor } from "@fedlora/core";

/**
 * A tensor's values in an array of one's own.
 *
 * Throws `tensor-invalid` unless it is F32, of the shape given (where one is) and has the bytes of its shape.
 */
export function toFloats(name: string, tensor: Tensor, shape: readonly number[] = tensor.shape): Float32Array {
  const count = elementCount(shape);
  if (tensor.dtype !== "F32" || !shapesEqual(tensor.shape, shape) || tensor.bytes.byteLength !== count * 4) {
    throw new FedLoraError(
      "tensor-invalid",
      `tensor "${name}" is ${tensor.dtype} [${tensor.shape.join(", ")}] with ${tensor.bytes.byteLength} bytes, ` +
        `expected F32 [${shape.join(", ")}] with ${count * 4}`,
    );
  }
  return copyFloat32(tensor);
}

/** A tensor with a copy of the values. */
export function toTensor(shape: readonly number[], data: Float32Array): Tensor {
  return fromFloat32(data.slice(), [...shape]);
}
