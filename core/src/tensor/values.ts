import { FedLoraError } from "../errors.js";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./convert.js";
import { itemSize } from "./dtype.js";
import { elementCount } from "./tensor.js";
import type { Tensor } from "./tensor.js";

/** What a tensor of float32 values may be stored as. */
export type FloatDType = "F32" | "F16" | "BF16";

/** @throws FedLoraError `tensor-invalid` when the bytes do not hold exactly the shape's elements. */
export function assertTensor(name: string, tensor: Tensor): void {
  assertByteLength(name, tensor, tensor.bytes.byteLength);
}

/** As `assertTensor`, for bytes that are not all there at once. */
export function assertByteLength(name: string, { dtype, shape }: Omit<Tensor, "bytes">, byteLength: number): void {
  const expected = elementCount(shape) * itemSize[dtype];
  if (byteLength !== expected) {
    throw new FedLoraError(
      "tensor-invalid",
      `tensor "${name}" of ${dtype} [${shape.join(", ")}] needs ${expected} bytes, got ${byteLength}`,
      { details: { tensor: name } },
    );
  }
}

/**
 * The values as float32. F32 that is aligned in memory comes as a view that shares the tensor's bytes: do not write to
 * it. Everything else is converted (F64 rounds to nearest; I64 and BOOL are refused with `tensor-invalid`).
 *
 * @param out takes the values of F16 and BF16, and has room for exactly these; default: a new array
 */
export function toFloat32(tensor: Tensor, out?: Float32Array): Float32Array {
  const { bytes, dtype } = tensor;
  switch (dtype) {
    case "F32":
      return new Float32Array(...aligned(bytes, 4));
    case "F16":
      return f16ToF32(new Uint16Array(...aligned(bytes, 2)), out);
    case "BF16":
      return bf16ToF32(new Uint16Array(...aligned(bytes, 2)), out);
    case "F64":
      return Float32Array.from(new Float64Array(...aligned(bytes, 8)));
    case "I32":
      return Float32Array.from(new Int32Array(...aligned(bytes, 4)));
    case "I8":
      return Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    case "U8":
      return Float32Array.from(bytes);
    case "I64":
    case "BOOL":
      throw new FedLoraError("tensor-invalid", `dtype ${dtype} does not hold float32 values`);
  }
}

/** The values as float32 in an array of the caller's own. */
export function copyFloat32(tensor: Tensor): Float32Array {
  const values = toFloat32(tensor);
  return values.buffer === tensor.bytes.buffer ? values.slice() : values;
}

/**
 * A tensor of the given values, rounded to nearest where the dtype is narrower. For F32 it shares the array's memory.
 *
 * @throws FedLoraError `tensor-invalid` when the number of values is not that of the shape.
 */
export function fromFloat32(values: Float32Array, shape: readonly number[], dtype: FloatDType = "F32"): Tensor {
  if (values.length !== elementCount(shape)) {
    throw new FedLoraError("tensor-invalid", `shape [${shape.join(", ")}] does not hold ${values.length} values`);
  }
  const stored = dtype === "F32" ? values : dtype === "F16" ? f32ToF16(values) : f32ToBf16(values);
  return { dtype, shape, bytes: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength) };
}

/** Row-major index of the first NaN or infinity, or -1; integers are always finite. */
export function firstNonFinite(tensor: Tensor): number {
  const { bytes, dtype } = tensor;
  switch (dtype) {
    case "F32":
      return firstWithAllBits(new Uint32Array(...aligned(bytes, 4)), 0x7f800000);
    case "F16":
      return firstWithAllBits(new Uint16Array(...aligned(bytes, 2)), 0x7c00);
    case "BF16":
      return firstWithAllBits(new Uint16Array(...aligned(bytes, 2)), 0x7f80);
    case "F64":
      return new Float64Array(...aligned(bytes, 8)).findIndex((value) => !Number.isFinite(value));
    default:
      return -1;
  }
}

/** Words that are looked at together. */
const searched = 4096;

/** A float is an infinity or a NaN exactly when its exponent bits are all set: then their lowest carries into the sign. */
function firstWithAllBits(words: Uint32Array | Uint16Array, exponent: number): number {
  const lowest = exponent & -exponent;
  const sign = exponent + lowest;
  for (let start = 0; start < words.length; start += searched) {
    const end = Math.min(start + searched, words.length);
    let carries = 0;
    for (let i = start; i < end; i += 1) carries |= ((words[i] ?? 0) & exponent) + lowest;
    if ((carries & sign) === 0) continue;
    for (let i = start; i < end; i += 1) if (((words[i] ?? 0) & exponent) === exponent) return i;
  }
  return -1;
}

/** Arguments of a typed array over the bytes; copies them where their place in memory is not aligned. */
function aligned(bytes: Uint8Array, size: number): [ArrayBufferLike, number, number] {
  // Not bytes.slice(), which for a Buffer is a view of the same, unaligned memory.
  const source = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return [source.buffer, source.byteOffset, source.byteLength / size];
}
