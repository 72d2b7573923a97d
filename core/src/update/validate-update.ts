import { FedLoraError } from "../errors.js";
import type { ErrorCode } from "../errors.js";
import { itemSize } from "../tensor/dtype.js";
import { firstLayoutDifference } from "../tensor/layout-difference.js";
import type { LayoutDifference } from "../tensor/layout-difference.js";
import type { Tensor, TensorLayout, TensorSpec } from "../tensor/tensor.js";
import { assertByteLength, toFloat32 } from "../tensor/values.js";

/** An update that is read tensor by tensor, so that memory holds one tensor at a time. */
export interface UpdateSource {
  readonly entries: ReadonlyMap<string, Pick<TensorSpec, "dtype" | "shape">>;
  /**
   * The tensor, or its bytes in order, in slices of whole values. A slice is done with before the next is asked for, so
   * all may share one buffer, and whoever makes them may let other work have its turn in between.
   */
  read(name: string): Tensor | Promise<Tensor> | AsyncIterable<Uint8Array>;
}

const codeOf = {
  missing: "update-tensor-missing",
  unexpected: "update-tensor-unexpected",
  dtype: "update-dtype",
  shape: "update-shape",
} as const satisfies Record<LayoutDifference["kind"], ErrorCode>;

/**
 * Checks an update's tensors by their names, dtypes and shapes alone.
 *
 * @throws FedLoraError `update-tensor-missing`, `update-tensor-unexpected`, `update-dtype`, `update-shape`, each naming
 *   the tensor
 */
export function assertUpdateLayout(layout: TensorLayout, entries: UpdateSource["entries"]): void {
  const difference = firstLayoutDifference(layout, entries);
  if (difference === undefined) return;
  const { kind, tensor, message } = difference;
  throw new FedLoraError(codeOf[kind], `update: ${message}`, { details: { tensor } });
}

/**
 * Checks an update: the layout first, then every value.
 *
 * @param maxNorm bound on the update norm; undefined: none
 * @returns the update norm: the L2 norm over all values of all tensors, in float64, in the layout's order
 * @throws FedLoraError as `assertUpdateLayout`; `update-not-finite` naming tensor and index; `update-norm`;
 *   `tensor-invalid` when a tensor has not the bytes of its shape
 */
export async function validateUpdate(layout: TensorLayout, source: UpdateSource, maxNorm?: number): Promise<number> {
  assertUpdateLayout(layout, source.entries);
  let squares = 0;
  for (const spec of layout) {
    const values = source.read(spec.name);
    const slices = Symbol.asyncIterator in values ? values : [(await values).bytes];
    squares = await addTensor(spec, slices, squares);
  }
  const norm = Math.sqrt(squares);
  if (maxNorm !== undefined && norm > maxNorm) {
    throw new FedLoraError("update-norm", `update: the L2 norm is ${norm}, the run allows ${maxNorm}`, {
      details: { norm: String(norm), maxNorm: String(maxNorm) },
    });
  }
  return norm;
}

async function addTensor(
  spec: TensorSpec,
  slices: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  squares: number,
): Promise<number> {
  const { name, dtype } = spec;
  let sum = squares;
  let read = 0;
  for await (const bytes of slices) {
    // Half a value at the end of a slice would be counted, but never looked at.
    assertByteLength(name, { dtype, shape: [Math.ceil(bytes.byteLength / itemSize[dtype])] }, bytes.byteLength);
    sum = addSquares(spec, bytes, read, sum);
    read += bytes.byteLength;
  }
  assertByteLength(name, spec, read);
  return sum;
}

/** Adds the squares one after the other, so that slices change no bit of the sum. `at`: bytes of the tensor before these. */
function addSquares({ name, dtype }: TensorSpec, bytes: Uint8Array, at: number, squares: number): number {
  const values = toFloat32({ dtype, shape: [bytes.byteLength / itemSize[dtype]], bytes });
  let sum = squares;
  // A counted loop: for...of takes twice as long on a typed array.
  let next = 0;
  while (next < values.length) {
    const value = values[next] ?? 0;
    sum += value * value;
    next += 1;
  }
  // The squares of finite float32 values fit into a float64, so only NaN and infinities get here.
  if (Number.isFinite(sum)) return sum;
  const inSlice = values.findIndex((value) => !Number.isFinite(value));
  const index = at / itemSize[dtype] + inSlice;
  throw new FedLoraError(
    "update-not-finite",
    `update: tensor "${name}" is ${values[inSlice] ?? NaN} at index ${index}`,
    { details: { tensor: name, index: String(index) } },
  );
}
