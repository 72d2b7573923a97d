import { columnMatrix, crossGram, multiply, squaredNorm, transposed } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { HouseholderQr } from "../linalg/householder-qr.js";
import { smallSvd } from "../linalg/small-svd.js";

/** A matrix [dOut, dIn] of low rank by its factors: left [dOut, k] times right^T, right [dIn, k]. */
export interface FactoredMatrix {
  readonly left: ColumnMatrix;
  readonly right: ColumnMatrix;
}

export interface SketchedMatrix extends FactoredMatrix {
  /** Estimates of |G - left right^T|_F^2 and of |G|_F^2, unbiased over the random test matrices. */
  readonly errorSquared: number;
  readonly normSquared: number;
}

/** Values row by row: of lora_B-like tensors [dOut, size], of lora_A-like ones [size, dIn]. */
export interface Sketches {
  readonly dOut: number;
  readonly dIn: number;
  /** Columns of Omega and rows of Psi. */
  readonly size: number;
  /** G Omega, [dOut, size] */
  readonly range: Float32Array;
  /** Psi G, [size, dIn] */
  readonly coRange: Float32Array;
  /** Psi^T, [dOut, size], standard normal */
  readonly psi: Float32Array;
}

/** Shares of the largest singular value below which a direction counts as absent. */
const negligible = 1e-12;

/**
 * A matrix G from two linear sketches of it: Q, the leading `rank` left singular vectors of G Omega, and the least-squares
 * solution X of (Psi Q) X = Psi G; then G is about Q X (Tropp et al., "Practical sketching algorithms for low-rank matrix
 * approximation", 2017; the truncation of the range is Tropp et al. 2019's). With Gaussian test matrices of `size` above
 * rank + 1 the expected squared error is at most (1 + rank / (size - rank - 1)) times that of Q alone. Where `size`
 * equals the smaller side of G, pass it as the rank: the result is G itself, up to rounding.
 */
export function sketchedMatrix(sketches: Sketches, rank: number): SketchedMatrix {
  const { dOut, dIn, size } = sketches;
  const range = transposed(columnMatrix(size, dOut, Float64Array.from(sketches.range)));
  const psi = transposed(columnMatrix(size, dOut, Float64Array.from(sketches.psi)));
  /** (Psi G)^T [dIn, size]: the rows of Psi G are its columns. */
  const coRange = columnMatrix(dIn, size, Float64Array.from(sketches.coRange));
  const qr = new HouseholderQr(range);
  const { u } = smallSvd(qr.r());
  const left = qr.applyQ(columnMatrix(u.rows, rank, u.values.slice(0, u.rows * rank)));
  const mixed = crossGram(psi, left);
  const right = multiply(coRange, transposed(pseudoInverse(mixed)));
  const explained = multiply(right, transposed(mixed));
  let missed = 0;
  coRange.values.forEach((value, i) => (missed += (value - (explained.values[i] ?? 0)) ** 2));
  const free = size - rank;
  const spread = free > 1 ? 1 + rank / (free - 1) : 1;
  const errorSquared = free > 0 ? (spread * missed) / free : 0;
  return { left, right, errorSquared, normSquared: squaredNorm(coRange) / size };
}

/** [n, m] of an [m, n] matrix. */
function pseudoInverse(matrix: ColumnMatrix): ColumnMatrix {
  const { u, s, v } = smallSvd(matrix);
  const cut = (s[0] ?? 0) * negligible;
  const scaled = columnMatrix(v.rows, v.columns, v.values.slice());
  scaled.values.forEach((value, i) => {
    const singular = s[Math.floor(i / v.rows)] ?? 0;
    scaled.values[i] = singular > cut ? value / singular : 0;
  });
  return multiply(scaled, transposed(u));
}
