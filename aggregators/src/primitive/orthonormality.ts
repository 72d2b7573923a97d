import { tensorKindOf, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor } from "@fedlora/core";
import { dotAt } from "../linalg/column-matrix.js";

/**
 * The largest entry, by magnitude, of A A^T - I and B^T B - I over all frozen factors A [rank, dIn] and B [dOut, rank] of
 * an adapter as it is sent, in float64. What float32 leaves of orthonormal factors is below 1e-5, bfloat16 2e-3.
 */
export function orthonormalityError(adapter: StateDict): number {
  let error = 0;
  for (const [name, tensor] of adapter) {
    const kind = tensorKindOf(name);
    if (kind === "lora-a" || kind === "lora-b") error = Math.max(error, gramError(vectorsOf(tensor, kind)));
  }
  return error;
}

/** The rows of A, or the columns of B, one after the other. */
function vectorsOf(tensor: Tensor, kind: "lora-a" | "lora-b"): { values: Float64Array; count: number; length: number } {
  const [rows = 0, columns = 0] = tensor.shape;
  const from = toFloat32(tensor);
  if (kind === "lora-a") return { values: Float64Array.from(from), count: rows, length: columns };
  const values = new Float64Array(from.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) values[column * rows + row] = from[row * columns + column] ?? 0;
  }
  return { values, count: columns, length: rows };
}

function gramError({ values, count, length }: ReturnType<typeof vectorsOf>): number {
  let error = 0;
  for (let p = 0; p < count; p++) {
    for (let q = 0; q <= p; q++) {
      error = Math.max(error, Math.abs(dotAt(values, p * length, values, q * length, length) - (p === q ? 1 : 0)));
    }
  }
  return error;
}
