import { columnMatrix, dotAt, multiply, transposed } from "./column-matrix.js";
import type { ColumnMatrix } from "./column-matrix.js";
import { smallSvd } from "./small-svd.js";

/** Below this share of the largest, a pivot or a singular value of a Gram matrix is what rounding left of zero. */
const roundingShare = 2 ** -44;

/**
 * X (S + lambda I)^-1 for symmetric S of no negative eigenvalue (a Gram matrix), lambda >= 0: by Cholesky's
 * factorisation, and where that breaks down (dependent rows, lambda 0) by the pseudo-inverse, the solution of least norm.
 *
 * @param s [n, n]
 * @param x [rows, n]
 */
export function ridgeSolve(s: ColumnMatrix, lambda: number, x: ColumnMatrix): ColumnMatrix {
  const n = s.rows;
  const shifted = columnMatrix(n, n, s.values.slice());
  for (let j = 0; j < n; j++) shifted.values[j * n + j] = (s.values[j * n + j] ?? 0) + lambda;
  const factor = cholesky(shifted);
  return factor === undefined ? pseudoSolve(shifted, x) : choleskySolve(factor, x);
}

/** Lower triangular L with S = L L^T, its rows as columns; undefined where a pivot is not clearly above 0. */
function cholesky({ rows: n, values }: ColumnMatrix): ColumnMatrix | undefined {
  let largest = 0;
  for (let j = 0; j < n; j++) largest = Math.max(largest, values[j * n + j] ?? 0);
  const out = columnMatrix(n, n);
  const l = out.values;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = (values[j * n + i] ?? 0) - dotAt(l, i * n, l, j * n, j);
      if (j < i) {
        l[i * n + j] = rest / (l[j * n + j] ?? 0);
      } else if (rest > largest * roundingShare) {
        l[i * n + i] = Math.sqrt(rest);
      } else {
        return undefined;
      }
    }
  }
  return out;
}

/** Row by row of X: y L L^T = x. */
function choleskySolve({ rows: n, values: l }: ColumnMatrix, x: ColumnMatrix): ColumnMatrix {
  const rows = transposed(x);
  const y = rows.values;
  for (let row = 0; row < x.rows; row++) {
    const at = row * n;
    for (let i = 0; i < n; i++) {
      y[at + i] = ((y[at + i] ?? 0) - dotAt(l, i * n, y, at, i)) / (l[i * n + i] ?? 0);
    }
    for (let i = n - 1; i >= 0; i--) {
      let rest = y[at + i] ?? 0;
      for (let j = i + 1; j < n; j++) rest -= (l[j * n + i] ?? 0) * (y[at + j] ?? 0);
      y[at + i] = rest / (l[i * n + i] ?? 0);
    }
  }
  return transposed(rows);
}

function pseudoSolve(s: ColumnMatrix, x: ColumnMatrix): ColumnMatrix {
  const { u, s: sizes, v } = smallSvd(s);
  const projected = multiply(x, v);
  const least = (sizes[0] ?? 0) * roundingShare;
  sizes.forEach((size, j) => {
    for (let i = j * x.rows; i < (j + 1) * x.rows; i++) {
      projected.values[i] = size > least ? (projected.values[i] ?? 0) / size : 0;
    }
  });
  return multiply(projected, transposed(u));
}
