import { columnMatrix, dotAt, transposed } from "./column-matrix.js";
import type { ColumnMatrix } from "./column-matrix.js";
import { HouseholderQr } from "./householder-qr.js";

export interface Svd {
  /** [rows, k] with k = min(rows, columns), orthonormal columns; the columns of singular values of 0 may be zero. */
  readonly u: ColumnMatrix;
  /** k values, descending. */
  readonly s: Float64Array;
  /** [columns, k], as `u`. */
  readonly v: ColumnMatrix;
}

/** Sweeps end by themselves, after 5 to 10; this only bounds what rounding could keep alive. */
const maxSweeps = 40;

/**
 * Singular value decomposition A = U diag(s) V^T of a small matrix (up to about a thousand columns) by one-sided Jacobi
 * rotations after a QR step (Hestenes 1958; Drmac and Veselic 2008): accurate to the last digits of float64, also in
 * the small singular values. Uses + - * / and sqrt alone, so every engine computes the same bits; that, and not needing
 * a dependency for 60 lines, is why no library does it.
 */
export function smallSvd(matrix: ColumnMatrix): Svd {
  if (matrix.rows < matrix.columns) {
    const { u, s, v } = smallSvd(transposed(matrix));
    return { u: v, s, v: u };
  }
  // A = Q R and R^T = U' S V'^T give A = (Q V') S U'^T. The columns of R^T are nearly orthogonal already.
  const qr = new HouseholderQr(columnMatrix(matrix.rows, matrix.columns, matrix.values.slice()));
  const { work, rotations } = orthogonalised(transposed(qr.r()));
  const sorted = byNorm(work, rotations);
  return { u: qr.applyQ(sorted.right), s: sorted.norms, v: sorted.left };
}

/** Turns the columns of a square matrix by rotations from the right until all are orthogonal. */
function orthogonalised(work: ColumnMatrix): { work: ColumnMatrix; rotations: ColumnMatrix } {
  const n = work.columns;
  const rotations = columnMatrix(n, n);
  for (let j = 0; j < n; j++) rotations.values[j * n + j] = 1;
  const squares = Float64Array.from({ length: n }, (_, j) => dotAt(work.values, j * n, work.values, j * n, n));
  for (let sweep = 0; sweep < maxSweeps; sweep++) {
    if (!rotateAll(work, rotations, squares)) break;
    // Updated norms lose digits; the sum of squares is cheap next to a sweep.
    for (let j = 0; j < n; j++) squares[j] = dotAt(work.values, j * n, work.values, j * n, n);
  }
  return { work, rotations };
}

/** One sweep over all pairs of columns; whether any pair was not orthogonal yet. */
function rotateAll(work: ColumnMatrix, rotations: ColumnMatrix, squares: Float64Array): boolean {
  const n = work.columns;
  const tolerance = n * 2 ** -53;
  let turned = false;
  for (let p = 0; p < n; p++) {
    for (let q = p + 1; q < n; q++) {
      const alpha = squares[p] ?? 0;
      const beta = squares[q] ?? 0;
      if (alpha === 0 || beta === 0) continue;
      const gamma = dotAt(work.values, p * n, work.values, q * n, n);
      if (!(Math.abs(gamma) > tolerance * Math.sqrt(alpha) * Math.sqrt(beta))) continue;
      turned = true;
      const zeta = (beta - alpha) / (2 * gamma);
      const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      const cosine = 1 / Math.sqrt(1 + tangent * tangent);
      const sine = cosine * tangent;
      rotate(work.values, p * n, q * n, n, cosine, sine);
      rotate(rotations.values, p * n, q * n, n, cosine, sine);
      squares[p] = Math.max(0, alpha - tangent * gamma);
      squares[q] = beta + tangent * gamma;
    }
  }
  return turned;
}

function rotate(x: Float64Array, p: number, q: number, length: number, cosine: number, sine: number): void {
  for (let i = 0; i < length; i++) {
    const a = x[p + i] ?? 0;
    const b = x[q + i] ?? 0;
    x[p + i] = cosine * a - sine * b;
    x[q + i] = sine * a + cosine * b;
  }
}

/** The columns in descending order of their norms, scaled to 1, and those of `other` in the same order. */
function byNorm(
  work: ColumnMatrix,
  other: ColumnMatrix,
): { left: ColumnMatrix; right: ColumnMatrix; norms: Float64Array } {
  const n = work.columns;
  const norm = (j: number): number => Math.sqrt(dotAt(work.values, j * n, work.values, j * n, n));
  const order = Array.from({ length: n }, (_, j) => ({ j, norm: norm(j) })).sort(
    (x, y) => y.norm - x.norm || x.j - y.j,
  );
  const left = columnMatrix(n, n);
  const right = columnMatrix(n, n);
  order.forEach(({ j, norm: size }, at) => {
    right.values.set(other.values.subarray(j * n, (j + 1) * n), at * n);
    if (size === 0) return;
    for (let i = 0; i < n; i++) left.values[at * n + i] = (work.values[j * n + i] ?? 0) / size;
  });
  return { left, right, norms: Float64Array.from(order, ({ norm: size }) => size) };
}
