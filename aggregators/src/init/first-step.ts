import { orthonormalizeRows } from "@fedlora/core";
import type { RandomStream } from "@fedlora/core";
import { addScaled, columnMatrix, dotAt, multiply, squaredNorm } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { HouseholderQr } from "../linalg/householder-qr.js";
import { smallSvd } from "../linalg/small-svd.js";
import type { FactoredMatrix } from "./sketched-matrix.js";

export interface FirstStep {
  /** [rank, dOut] and [rank, dIn], row by row: singular vectors as orthonormal rows. */
  readonly u: Float64Array;
  readonly v: Float64Array;
  /** `rank` singular values of the step, descending; the last may be 0. */
  readonly s: Float64Array;
  /** Share of the step's squared norm that the singular triplets leave out, 0 to 1. */
  readonly leftOut: number;
}

export interface FirstStepOptions {
  readonly rank: number;
  /** Signs of the gradient, as AdamW's first step takes them, or the gradient itself. */
  readonly sign: boolean;
  readonly stream: RandomStream;
}

/** Columns beyond the rank: they let the subspace converge where singular values fall slowly. */
const oversampling = 8;
const maxSweeps = 12;
/** A sweep that finds so little more ends the iteration. */
const settled = 1e-6;
/** Singular vectors of smaller shares of the largest value are what rounding left. */
const negligible = 1e-7;

/**
 * The leading singular triplets of -sign(G), or of -G, for G [dOut, dIn] in factors, by subspace iteration (Halko et al.
 * 2011). Signs have full rank even where G has not, so every sweep computes G and its signs row by row and forgets them:
 * nothing of the size of G is ever held. A sweep costs 2 dOut dIn (k + 2 rank) operations, k the factors' width.
 */
export function firstStep(gradient: FactoredMatrix, { rank, sign, stream }: FirstStepOptions): FirstStep {
  const [dOut, dIn] = [gradient.left.rows, gradient.right.rows];
  const width = Math.min(rank + oversampling, dOut, dIn);
  let basis = orthonormalColumns(randomMatrix(dIn, width, stream));
  let image: Sweep;
  let before = 0;
  for (let sweep = 1; ; sweep++) {
    image = sweepRows(gradient, basis, sign);
    const energy = squaredNorm(image.product);
    if (sweep === maxSweeps || energy - before <= settled * energy) break;
    before = energy;
    basis = orthonormalColumns(image.back);
  }
  const { u, s, v } = smallSvd(image.product);
  const kept = s.slice(0, rank);
  const captured = kept.reduce((sum, value) => sum + value * value, 0);
  const found = kept.filter((value) => value > negligible * (s[0] ?? 0)).length;
  const left = rowsOf(u, found, rank, stream);
  const right = rowsOf(multiply(basis, v), found, rank, stream);
  turnPositive(left, right, dOut, dIn, found);
  return {
    u: left,
    v: right,
    s: kept.map((value, i) => (i < found ? value : 0)),
    leftOut: image.normSquared === 0 ? 0 : Math.max(0, 1 - captured / image.normSquared),
  };
}

interface Sweep {
  /** S V [dOut, width] */
  readonly product: ColumnMatrix;
  /** S^T S V [dIn, width] */
  readonly back: ColumnMatrix;
  /** |S|_F^2 */
  readonly normSquared: number;
}

function sweepRows({ left, right }: FactoredMatrix, basis: ColumnMatrix, sign: boolean): Sweep {
  const [dOut, dIn, width] = [left.rows, right.rows, basis.columns];
  const product = columnMatrix(dOut, width);
  const back = columnMatrix(dIn, width);
  const row = new Float64Array(dIn);
  let normSquared = 0;
  for (let i = 0; i < dOut; i++) {
    row.fill(0);
    for (let k = 0; k < left.columns; k++)
      addScaled(row, 0, -(left.values[k * dOut + i] ?? 0), right.values, k * dIn, dIn);
    if (sign) for (let j = 0; j < dIn; j++) row[j] = Math.sign(row[j] ?? 0);
    normSquared += dotAt(row, 0, row, 0, dIn);
    for (let c = 0; c < width; c++) {
      const value = dotAt(row, 0, basis.values, c * dIn, dIn);
      product.values[c * dOut + i] = value;
      addScaled(back.values, c * dIn, value, row, 0, dIn);
    }
  }
  return { product, back, normSquared };
}

function randomMatrix(rows: number, columns: number, stream: RandomStream): ColumnMatrix {
  return columnMatrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, () => stream.normal()),
  );
}

/** An orthonormal basis of the columns' span, and more where they are dependent. */
function orthonormalColumns(matrix: ColumnMatrix): ColumnMatrix {
  const identity = columnMatrix(matrix.columns, matrix.columns);
  for (let j = 0; j < matrix.columns; j++) identity.values[j * matrix.columns + j] = 1;
  return new HouseholderQr(matrix).applyQ(identity);
}

/** The first `found` columns as rows, and random ones orthogonal to them up to `rank`. */
function rowsOf({ rows, values }: ColumnMatrix, found: number, rank: number, stream: RandomStream): Float64Array {
  const out = new Float64Array(rank * rows);
  out.set(values.subarray(0, found * rows));
  for (let i = found * rows; i < out.length; i++) out[i] = stream.normal();
  orthonormalizeRows(out, rank, rows);
  return out;
}

/** The entry of largest magnitude of each left vector becomes positive, so that the factors do not depend on the path. */
function turnPositive(left: Float64Array, right: Float64Array, dOut: number, dIn: number, found: number): void {
  for (let k = 0; k < found; k++) {
    const vector = left.subarray(k * dOut, (k + 1) * dOut);
    const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    if (largest >= 0) continue;
    for (const part of [vector, right.subarray(k * dIn, (k + 1) * dIn)]) part.forEach((value, i) => (part[i] = -value));
  }
}
