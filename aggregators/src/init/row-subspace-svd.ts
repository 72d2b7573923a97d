import { orthonormalizeRows } from "@fedlora/core";
import type { RandomStream } from "@fedlora/core";
import { columnMatrix, dotAt, multiply, squaredNorm } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { HouseholderQr } from "../linalg/householder-qr.js";
import { smallSvd } from "../linalg/small-svd.js";

/** A matrix that is read in blocks of rows, several times; rows may be computed each time they are asked for. */
export interface RowSource {
  readonly rows: number;
  readonly columns: number;
  /** Writes rows `first` to `first + count`, one after the other, into `into`; count is at most `blockRows`. */
  read(first: number, count: number, into: Float64Array): void;
}

/** Rows held at a time: every column of the basis is then read once for four products. */
export const blockRows = 4;

export interface RowSubspaceSvd {
  /** [rank, rows] and [rank, columns], row by row: singular vectors as orthonormal rows, by falling singular value. */
  readonly u: Float64Array;
  readonly v: Float64Array;
  /** `rank` singular values, descending; those of directions that the matrix lacks are 0. */
  readonly s: Float64Array;
  /** Share of the squared norm that the singular triplets leave out, 0 to 1. */
  readonly leftOut: number;
}

export interface RowSubspaceOptions {
  /** At most the matrix's smaller side. */
  readonly rank: number;
  readonly stream: RandomStream;
  /** A sweep that finds less than this share more of the squared norm ends the iteration; default 1e-6. */
  readonly settled?: number;
  /** Default 12. */
  readonly maxSweeps?: number;
}

/** Columns beyond the rank: they let the subspace converge where singular values fall slowly. */
const oversampling = 8;
/** Singular vectors of smaller shares of the largest value are what rounding left. */
const negligible = 1e-7;

/**
 * The leading singular triplets of a matrix that has no factors, such as the signs of one that has (else see linalg's
 * `subspaceSvd`), by subspace iteration (Halko et al. 2011) with four rows in memory. A sweep reads every row once and
 * costs 4 rows columns (rank + 8) operations. The entry of largest magnitude of each left vector is positive, and vectors
 * of singular value 0 are random ones orthogonal to the others.
 */
export function rowSubspaceSvd(matrix: RowSource, options: RowSubspaceOptions): RowSubspaceSvd {
  const { rank, stream, settled = 1e-6, maxSweeps = 12 } = options;
  const width = Math.min(rank + oversampling, matrix.rows, matrix.columns);
  let basis = orthonormalColumns(randomMatrix(matrix.columns, width, stream));
  let image: Sweep;
  let before = 0;
  for (let sweep = 1; ; sweep++) {
    image = sweepRows(matrix, basis);
    const energy = squaredNorm(image.product);
    if (sweep >= maxSweeps || energy - before <= settled * energy) break;
    before = energy;
    basis = orthonormalColumns(image.back);
  }
  const { u, s, v } = smallSvd(image.product);
  const kept = s.slice(0, rank);
  const captured = kept.reduce((sum, value) => sum + value * value, 0);
  const found = kept.filter((value) => value > negligible * (s[0] ?? 0)).length;
  const left = rowsOf(u, found, rank, stream);
  const right = rowsOf(multiply(basis, v), found, rank, stream);
  turnPositive(left, right, found, rank);
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

function sweepRows(matrix: RowSource, basis: ColumnMatrix): Sweep {
  const { rows, columns } = matrix;
  const width = basis.columns;
  const product = columnMatrix(rows, width);
  const back = columnMatrix(columns, width);
  const block = new Float64Array(blockRows * columns);
  let normSquared = 0;
  for (let first = 0; first < rows; first += blockRows) {
    const count = Math.min(blockRows, rows - first);
    // Rows beyond the last one are zero, and add nothing.
    if (count < blockRows) block.fill(0);
    matrix.read(first, count, block);
    normSquared += dotAt(block, 0, block, 0, count * columns);
    for (let c = 0; c < width; c++) {
      multiplyBlock(block, basis.values, back.values, c * columns, columns, product.values, c * rows + first, count);
    }
  }
  return { product, back, normSquared };
}

/** out[at + r] = row r of the block times column [from, from + length) of the basis, and their products into `back`. */
function multiplyBlock(
  block: Float64Array,
  basis: Float64Array,
  back: Float64Array,
  from: number,
  length: number,
  out: Float64Array,
  at: number,
  count: number,
): void {
  let p = 0;
  let q = 0;
  let r = 0;
  let s = 0;
  for (let i = 0; i < length; i++) {
    const x = basis[from + i] ?? 0;
    p += x * (block[i] ?? 0);
    q += x * (block[length + i] ?? 0);
    r += x * (block[2 * length + i] ?? 0);
    s += x * (block[3 * length + i] ?? 0);
  }
  const values = [p, q, r, s];
  for (let row = 0; row < count; row++) out[at + row] = values[row] ?? 0;
  for (let i = 0; i < length; i++) {
    back[from + i] =
      (back[from + i] ?? 0) +
      p * (block[i] ?? 0) +
      q * (block[length + i] ?? 0) +
      r * (block[2 * length + i] ?? 0) +
      s * (block[3 * length + i] ?? 0);
  }
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
function turnPositive(left: Float64Array, right: Float64Array, found: number, rank: number): void {
  const [height, width] = [left.length / rank, right.length / rank];
  for (let k = 0; k < found; k++) {
    const vector = left.subarray(k * height, (k + 1) * height);
    const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    if (largest >= 0) continue;
    for (const part of [vector, right.subarray(k * width, (k + 1) * width)]) {
      part.forEach((value, i) => (part[i] = -value));
    }
  }
}
