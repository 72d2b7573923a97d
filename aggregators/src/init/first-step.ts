import type { RandomStream } from "@fedlora/core";
import { addScaled } from "../linalg/column-matrix.js";
import type { FactoredMatrix } from "./sketched-matrix.js";
import { rowSubspaceSvd } from "./row-subspace-svd.js";
import type { RowSubspaceSvd } from "./row-subspace-svd.js";

export interface FirstStepOptions {
  readonly rank: number;
  /** Signs of the gradient, as AdamW's first step takes them, or the gradient itself. */
  readonly sign: boolean;
  readonly stream: RandomStream;
}

/** Signs have a flat tail: more sweeps would choose between directions of nearly equal singular values. */
const settled = 1e-3;

/**
 * The leading singular triplets of -sign(G), or of -G, for G [dOut, dIn] in factors. Signs have full rank even where G has
 * not, so every sweep computes G and its signs four rows at a time and forgets them: nothing of the size of G is ever held.
 */
export function firstStep({ left, right }: FactoredMatrix, { rank, sign, stream }: FirstStepOptions): RowSubspaceSvd {
  const [rows, columns] = [left.rows, right.rows];
  const read = (first: number, count: number, into: Float64Array): void => {
    into.fill(0, 0, count * columns);
    for (let k = 0; k < left.columns; k++) {
      for (let row = 0; row < count; row++) {
        const factor = -(left.values[k * rows + first + row] ?? 0);
        addScaled(into, row * columns, factor, right.values, k * columns, columns);
      }
    }
    if (sign) for (let i = 0; i < count * columns; i++) into[i] = Math.sign(into[i] ?? 0);
  };
  return rowSubspaceSvd({ rows, columns, read }, { rank, stream, settled });
}
