import type { RandomStream } from "@fedlora/core";
import { addScaled } from "../linalg/column-matrix.js";
import type { FactoredMatrix } from "./sketched-matrix.js";
import { subspaceSvd } from "./subspace-svd.js";
import type { SubspaceSvd } from "./subspace-svd.js";

export interface FirstStepOptions {
  readonly rank: number;
  /** Signs of the gradient, as AdamW's first step takes them, or the gradient itself. */
  readonly sign: boolean;
  readonly stream: RandomStream;
}

/**
 * The leading singular triplets of -sign(G), or of -G, for G [dOut, dIn] in factors. Signs have full rank even where G has
 * not, so every sweep computes G and its signs row by row and forgets them: nothing of the size of G is ever held.
 */
export function firstStep({ left, right }: FactoredMatrix, { rank, sign, stream }: FirstStepOptions): SubspaceSvd {
  const [rows, columns] = [left.rows, right.rows];
  const read = (row: number, into: Float64Array): void => {
    into.fill(0);
    for (let k = 0; k < left.columns; k++) {
      addScaled(into, 0, -(left.values[k * rows + row] ?? 0), right.values, k * columns, columns);
    }
    if (sign) into.forEach((value, i) => (into[i] = Math.sign(value)));
  };
  return subspaceSvd({ rows, columns, read }, { rank, stream });
}
