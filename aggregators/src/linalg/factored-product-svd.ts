import { columnMatrix } from "./column-matrix.js";
import type { ColumnMatrix } from "./column-matrix.js";
import { HouseholderQr } from "./householder-qr.js";
import { smallSvd } from "./small-svd.js";
import { subspaceSvd } from "./subspace-svd.js";

export interface TruncatedSvd {
  /** [left.rows, k]; the entry of largest magnitude in each column is positive (the first of equals). */
  readonly u: ColumnMatrix;
  /** At least k singular values, descending. */
  readonly s: Float64Array;
  /** [right.rows, k] */
  readonly v: ColumnMatrix;
  /** Frobenius norm of the product. */
  readonly norm: number;
  /** Frobenius norm of what the k triplets leave out. */
  readonly leftOut: number;
}

/**
 * The leading `rank` singular triplets of left right^T, k = min(rank, number of singular values), without the product:
 * QR of both factors and the singular value decomposition of the small core R_left R_right^T. No step needs the factors
 * to have full rank, so equal or dependent columns are fine.
 *
 * The best approximation of rank r' leaves out sqrt(sum over i > r' of s_i^2) in Frobenius norm (Eckart and Young 1936).
 *
 * @param left [dOut, n] and
 * @param right [dIn, n], both by columns; both are overwritten
 * @param largestCore cores up to this size are decomposed in full, at a cost of about 40 size^3 operations; above it
 *   subspace iteration finds the leading triplets, where they are few enough for that to pay
 */
export function factoredProductSvd(
  left: ColumnMatrix,
  right: ColumnMatrix,
  rank: number,
  largestCore = 512,
): TruncatedSvd {
  const size = Math.min(left.rows, right.rows, left.columns);
  const found = size > largestCore && 8 * rank < size ? subspaceSvd(left, right, rank) : coreSvd(left, right, rank);
  const { u, v } = found;
  for (let j = 0; j < u.columns; j++) {
    if (largestEntry(u, j) >= 0) continue;
    negateColumn(u, j);
    negateColumn(v, j);
  }
  return found;
}

function coreSvd(left: ColumnMatrix, right: ColumnMatrix, rank: number): TruncatedSvd {
  const leftQr = new HouseholderQr(left);
  const rightQr = new HouseholderQr(right);
  const { u, s, v } = smallSvd(upperProduct(leftQr.r(), rightQr.r()));
  const k = Math.min(rank, s.length);
  return {
    u: leftQr.applyQ(firstColumns(u, k)),
    s,
    v: rightQr.applyQ(firstColumns(v, k)),
    norm: tailNorm(s, 0),
    leftOut: tailNorm(s, k),
  };
}

/** sqrt(sum over i >= from of s_i^2), smallest first. */
export function tailNorm(s: Float64Array, from: number): number {
  let sum = 0;
  for (let i = s.length - 1; i >= from; i--) sum += (s[i] ?? 0) ** 2;
  return Math.sqrt(sum);
}

/** X Y^T of two upper trapezoidal matrices with the same number of columns. */
function upperProduct(x: ColumnMatrix, y: ColumnMatrix): ColumnMatrix {
  const out = columnMatrix(x.rows, y.rows);
  for (let c = 0; c < x.columns; c++) {
    const height = Math.min(c + 1, x.rows);
    for (let j = 0; j < Math.min(c + 1, y.rows); j++) {
      const factor = y.values[c * y.rows + j] ?? 0;
      for (let i = 0; i < height; i++) {
        const at = j * x.rows + i;
        out.values[at] = (out.values[at] ?? 0) + factor * (x.values[c * x.rows + i] ?? 0);
      }
    }
  }
  return out;
}

function firstColumns({ rows, values }: ColumnMatrix, count: number): ColumnMatrix {
  return columnMatrix(rows, count, values.slice(0, rows * count));
}

function largestEntry({ rows, values }: ColumnMatrix, column: number): number {
  let largest = 0;
  for (let i = column * rows; i < (column + 1) * rows; i++) {
    const value = values[i] ?? 0;
    if (Math.abs(value) > Math.abs(largest)) largest = value;
  }
  return largest;
}

function negateColumn({ rows, values }: ColumnMatrix, column: number): void {
  for (let i = column * rows; i < (column + 1) * rows; i++) values[i] = -(values[i] ?? 0);
}
