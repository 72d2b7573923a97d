import { FedLoraError } from "../errors.js";
import type { ErrorCode } from "../errors.js";
import { firstLayoutDifference } from "../tensor/layout-difference.js";
import type { LayoutDifference } from "../tensor/layout-difference.js";
import type { Tensor, TensorLayout, TensorSpec } from "../tensor/tensor.js";
import { assertTensor, firstNonFinite, toFloat32 } from "../tensor/values.js";

/** An update that is read tensor by tensor, so that memory holds one tensor at a time. */
export interface UpdateSource {
  readonly entries: ReadonlyMap<string, Pick<TensorSpec, "dtype" | "shape">>;
  read(name: string): Tensor | Promise<Tensor>;
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
  for (const { name, dtype, shape } of layout) {
    const tensor = { ...(await source.read(name)), dtype, shape };
    assertTensor(name, tensor);
    const index = firstNonFinite(tensor);
    const values = toFloat32(tensor);
    if (index !== -1) {
      throw new FedLoraError(
        "update-not-finite",
        `update: tensor "${name}" is ${values[index] ?? NaN} at index ${index}`,
        {
          details: { tensor: name, index: String(index) },
        },
      );
    }
    for (const value of values) squares += value * value;
  }
  const norm = Math.sqrt(squares);
  if (maxNorm !== undefined && norm > maxNorm) {
    throw new FedLoraError("update-norm", `update: the L2 norm is ${norm}, the run allows ${maxNorm}`, {
      details: { norm: String(norm), maxNorm: String(maxNorm) },
    });
  }
  return norm;
}
