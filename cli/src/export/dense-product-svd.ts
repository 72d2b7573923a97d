import {
  addScaled,
  columnMatrix,
  dotAt,
  HouseholderQr,
  multiply,
  smallSvd,
  type ColumnMatrix,
  type TruncatedSvd,
} from "@fedlora/aggregators";
import { deriveKey, randomKey, RandomStream } from "@fedlora/core";

/** `count` rows from `first` on of a matrix [dOut, dIn], as float32. */
export type DenseRows = (first: number, count: number) => Promise<Float32Array>;

/** Values of a row block: 1 MiB in float64. */
const blockValues = 128 * 1024;
/** Iterations end when the energy of the leading triplets grows by less, relative to all of it. */
const tolerance = 1e-7;
const maxIterations = 30;

/**
 * The leading singular triplets of left right^T + dense matrices, by subspace iteration from a fixed random start with twice
 * as many columns, at least 16 more (Halko, Martinsson and Tropp 2011). The matrix itself is never held: every iteration
 * reads the dense ones once, a block of rows at a time. Exact where the columns are as many as the smaller side; else the
 * error, which `leftOut` tells, exceeds the least one by less than about a thousandth of it.
 *
 * @param left [dOut, n], n may be 0
 * @param right [dIn, n]
 * @param dense at least one
 */
export async function denseProductSvd(
  left: ColumnMatrix,
  right: ColumnMatrix,
  dense: readonly DenseRows[],
  rank: number,
): Promise<TruncatedSvd> {
  const [dOut, dIn] = [left.rows, right.rows];
  const width = Math.min(rank + Math.max(16, rank), dOut, dIn);
  const stream = new RandomStream(deriveKey(randomKey(0), "dense-product-svd"));
  const start = columnMatrix(
    dIn,
    width,
    Float64Array.from({ length: dIn * width }, () => stream.normal()),
  );
  let v = orthonormal(start).q;
  let image = columnMatrix(dOut, width);
  let square = 0;
  let energy = 0;
  for (let step = 0; ; step++) {
    const gramImage = columnMatrix(dIn, width);
    image = columnMatrix(dOut, width);
    square = 0;
    await eachRow(left, right, dense, (row, i) => {
      square += dotAt(row, 0, row, 0, dIn);
      for (let j = 0; j < width; j++) {
        const value = dotAt(row, 0, v.values, j * dIn, dIn);
        image.values[j * dOut + i] = value;
        addScaled(gramImage.values, j * dIn, value, row, 0, dIn);
      }
    });
    // The image belongs to this V: what is found is decided by it, what follows only looks for a better one.
    const before = energy;
    energy = leadingSquares(smallSvd(orthonormal(image).r).s, rank);
    if (energy - before <= tolerance * square || step === maxIterations) break;
    v = orthonormal(gramImage).q;
  }
  const { q, r } = orthonormal(image);
  const { u: inner, s, v: turn } = smallSvd(r);
  const k = Math.min(rank, width);
  return {
    u: multiply(q, leadingColumns(inner, k)),
    s,
    v: multiply(v, leadingColumns(turn, k)),
    norm: Math.sqrt(square),
    leftOut: Math.sqrt(Math.max(0, square - leadingSquares(s, k))),
  };
}

/** Rows of left right^T + the dense matrices, in order; the array is overwritten by the next one. */
async function eachRow(
  left: ColumnMatrix,
  right: ColumnMatrix,
  dense: readonly DenseRows[],
  visit: (row: Float64Array, index: number) => void,
): Promise<void> {
  const [dOut, dIn] = [left.rows, right.rows];
  const blockRows = Math.max(1, Math.floor(blockValues / dIn));
  const row = new Float64Array(dIn);
  for (let first = 0; first < dOut; first += blockRows) {
    const count = Math.min(blockRows, dOut - first);
    const blocks = await Promise.all(dense.map((read) => read(first, count)));
    for (let i = 0; i < count; i++) {
      row.fill(0);
      for (const block of blocks) {
        for (let c = 0; c < dIn; c++) row[c] = (row[c] ?? 0) + (block[i * dIn + c] ?? 0);
      }
      for (let q = 0; q < left.columns; q++) {
        addScaled(row, 0, left.values[q * dOut + first + i] ?? 0, right.values, q * dIn, dIn);
      }
      visit(row, first + i);
    }
  }
}

function orthonormal(matrix: ColumnMatrix): { readonly q: ColumnMatrix; readonly r: ColumnMatrix } {
  const qr = new HouseholderQr(columnMatrix(matrix.rows, matrix.columns, matrix.values.slice()));
  const identity = columnMatrix(qr.rank, qr.rank);
  for (let j = 0; j < qr.rank; j++) identity.values[j * qr.rank + j] = 1;
  return { q: qr.applyQ(identity), r: qr.r() };
}

const leadingColumns = ({ rows, values }: ColumnMatrix, count: number): ColumnMatrix =>
  columnMatrix(rows, count, values.slice(0, rows * count));

const leadingSquares = (s: Float64Array, count: number): number =>
  s.subarray(0, count).reduce((sum, value) => sum + value * value, 0);
