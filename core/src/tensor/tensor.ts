import type { DType } from "./dtype.js";

/** A tensor's name, dtype and shape, without its values. A scalar has shape []. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Little-endian raw values in row-major order; `bytes.byteLength` is the product of the shape times the item size. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Named tensors. The canonical order is by name, code unit by code unit; every hash and file uses it. */
export type StateDict = ReadonlyMap<string, Tensor>;

/** Tensor specs in canonical order: what an update, a download or a file must hold. */
export type TensorLayout = readonly TensorSpec[];

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
