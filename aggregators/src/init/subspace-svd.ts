import { orthonormalizeRows } from "@fedlora/core";
import type { RandomStream } from "@fedlora/core";
import { addScaled, columnMatrix, dotAt, multiply, squaredNorm } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { HouseholderQr } from "../linalg/householder-qr.js";
import { smallSvd } from "../linalg/small-svd.js";

/** A matrix that is read row by row, several times; a row may be computed each time it is asked for. */
export interface RowSource {
  readonly rows: number;
  readonly columns: number;
  /** Writes row i into an array of `columns` numbers. */
  read(row: number, into: Float64Array): void;
}

export interface SubspaceSvd {
  /** [rank, rows] and [rank, columns], row by row: singular vectors as orthonormal rows, by falling singular value. */
  readonly u: Float64Array;
  readonly v: Float64Array;
  /** `rank` singular values, descending; those of directions that the matrix lacks are 0. */
  readonly s: Float64Array;
  /** Share of the squared norm that the singular triplets leave out, 0 to 1. */
  readonly leftOut: number;
}

export interface SubspaceOptions {
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
 * The leading singular triplets of a matrix by subspace iteration (Halko et al. 2011), of which one row at a time is held.
 * A sweep reads every row once and costs 4 rows columns (rank + 8) operations. The entry of largest magnitude of each left
 * vector is positive, and vectors of singular value 0 are random ones orthogonal to the others.
 */
export function subspaceSvd(matrix: RowSource, options: SubspaceOptions): SubspaceSvd {
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
  const row = new Float64Array(columns);
  let normSquared = 0;
  for (let i = 0; i < rows; i++) {
    matrix.read(i, row);
    normSquared += dotAt(row, 0, row, 0, columns);
    for (let c = 0; c < width; c++) {
      const value = dotAt(row, 0, basis.values, c * columns, columns);
      product.values[c * rows + i] = value;
      addScaled(back.values, c * columns, value, row, 0, columns);
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
