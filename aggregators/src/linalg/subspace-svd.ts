import { deriveKey, randomKey, RandomStream } from "@fedlora/core";
import { columnMatrix, crossGram, dotAt, gram, multiply } from "./column-matrix.js";
import type { ColumnMatrix } from "./column-matrix.js";
import type { TruncatedSvd } from "./factored-product-svd.js";
import { HouseholderQr } from "./householder-qr.js";
import { smallSvd } from "./small-svd.js";

/** Iterations end when the energy of the leading triplets changes by less, relative to all of it. */
const tolerance = 1e-13;
const maxIterations = 100;

/**
 * The leading singular triplets of left right^T by subspace iteration with twice as many columns, at least 16 more
 * (Halko, Martinsson and Tropp 2011), from a fixed random start: 4 n (dOut + dIn) operations per column and iteration,
 * for factors so wide that the full decomposition of their core would take hours. The error of the approximation then
 * exceeds the least one by less than about 1e-6 of the norm.
 *
 * @param left [dOut, n] and
 * @param right [dIn, n], both by columns; left as they are
 */
export function subspaceSvd(left: ColumnMatrix, right: ColumnMatrix, rank: number): TruncatedSvd {
  const width = Math.min(rank + Math.max(16, rank), left.rows, right.rows, left.columns);
  const square = productSquare(left, right);
  const stream = new RandomStream(deriveKey(randomKey(0), "subspace-svd"));
  const values = Float64Array.from({ length: right.rows * width }, () => stream.normal());
  let v = orthonormal(columnMatrix(right.rows, width, values)).q;
  let energy = 0;
  for (let step = 0; step < maxIterations; step++) {
    const { q: u } = orthonormal(multiply(left, crossGram(right, v)));
    const next = orthonormal(multiply(right, crossGram(left, u)));
    v = next.q;
    const { s } = smallSvd(next.r);
    const before = energy;
    energy = sumOfSquares(s, rank);
    if (energy - before <= tolerance * square) break;
  }
  // One product more gives U and the singular values for the final V.
  const image = orthonormal(multiply(left, crossGram(right, v)));
  const small = smallSvd(image.r);
  const k = Math.min(rank, width);
  return {
    u: multiply(image.q, firstColumns(small.u, k)),
    s: small.s,
    v: multiply(v, firstColumns(small.v, k)),
    norm: Math.sqrt(square),
    leftOut: Math.sqrt(Math.max(0, square - sumOfSquares(small.s, k))),
  };
}

/** || left right^T ||_F^2 = <left^T left, right^T right>. */
function productSquare(left: ColumnMatrix, right: ColumnMatrix): number {
  const [x, y] = [gram(left).values, gram(right).values];
  return Math.max(0, dotAt(x, 0, y, 0, x.length));
}

function orthonormal(matrix: ColumnMatrix): { q: ColumnMatrix; r: ColumnMatrix } {
  const qr = new HouseholderQr(matrix);
  const identity = columnMatrix(qr.rank, qr.rank);
  for (let j = 0; j < qr.rank; j++) identity.values[j * qr.rank + j] = 1;
  return { q: qr.applyQ(identity), r: qr.r() };
}

function sumOfSquares(s: Float64Array, count: number): number {
  return dotAt(s, 0, s, 0, Math.min(count, s.length));
}

function firstColumns({ rows, values }: ColumnMatrix, count: number): ColumnMatrix {
  return columnMatrix(rows, count, values.slice(0, rows * count));
}
