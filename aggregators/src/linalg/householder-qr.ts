import { addScaled, columnMatrix, dotAt } from "./column-matrix.js";
import type { ColumnMatrix } from "./column-matrix.js";

/** Squares below this lose digits to underflow; products of float32 values stay above 1e-90, their squares above 1e-180. */
const negligible = 1e-280;

/**
 * A = Q R by Householder reflections (Golub and Van Loan, algorithm 5.2.1), for tall and wide A alike: Q has
 * k = min(rows, columns) orthonormal columns whatever the rank of A, R is k x columns, upper trapezoidal.
 *
 * Costs 2 columns^2 (rows - columns / 3) operations for a tall matrix; Q itself is never formed.
 */
export class HouseholderQr {
  readonly #a: ColumnMatrix;
  readonly #diagonal: Float64Array;
  /** 2 / |v|^2 of each reflection, 0 where none is needed. */
  readonly #betas: Float64Array;

  /** @param matrix is overwritten: with R above its diagonal, and the reflections' vectors from there on down */
  constructor(matrix: ColumnMatrix) {
    this.#a = matrix;
    const { rows, columns, values } = matrix;
    const k = Math.min(rows, columns);
    this.#diagonal = new Float64Array(k);
    this.#betas = new Float64Array(k);
    for (let j = 0; j < k; j++) {
      const at = j * rows + j;
      const length = rows - j;
      const square = dotAt(values, at, values, at, length);
      if (square < negligible) {
        values.fill(0, at, at + length);
        continue;
      }
      const norm = Math.sqrt(square);
      const first = values[at] ?? 0;
      // The sign that adds, so that nothing cancels.
      const diagonal = first > 0 ? -norm : norm;
      values[at] = first - diagonal;
      this.#diagonal[j] = diagonal;
      this.#betas[j] = 1 / (norm * (norm + Math.abs(first)));
      this.#reflect(j, values, rows, j + 1, columns);
    }
  }

  get rank(): number {
    return this.#betas.length;
  }

  r(): ColumnMatrix {
    const { rows, columns, values } = this.#a;
    const out = columnMatrix(this.rank, columns);
    for (let j = 0; j < columns; j++) {
      const height = Math.min(j, this.rank);
      out.values.set(values.subarray(j * rows, j * rows + height), j * this.rank);
      if (j < this.rank) out.values[j * this.rank + j] = this.#diagonal[j] ?? 0;
    }
    return out;
  }

  /** Q X for X [k, c]: [rows, c]. */
  applyQ(x: ColumnMatrix): ColumnMatrix {
    const { rows } = this.#a;
    const out = columnMatrix(rows, x.columns);
    for (let j = 0; j < x.columns; j++) {
      out.values.set(x.values.subarray(j * x.rows, (j + 1) * x.rows), j * rows);
    }
    for (let j = this.rank - 1; j >= 0; j--) this.#reflect(j, out.values, rows, 0, x.columns);
    return out;
  }

  /** Reflects columns [from, to) of a matrix of the same height, four at a time: the vector is then read once for four. */
  #reflect(j: number, target: Float64Array, rows: number, from: number, to: number): void {
    const beta = this.#betas[j] ?? 0;
    if (beta === 0) return;
    const v = this.#a.values;
    const at = j * rows + j;
    const length = rows - j;
    let column = from;
    for (; column + 3 < to; column += 4) {
      const c0 = column * rows + j;
      reflectFour(v, at, length, beta, target, c0, rows);
    }
    for (; column < to; column++) {
      const start = column * rows + j;
      addScaled(target, start, -beta * dotAt(v, at, target, start, length), v, at, length);
    }
  }
}

function reflectFour(
  v: Float64Array,
  at: number,
  length: number,
  beta: number,
  target: Float64Array,
  c0: number,
  stride: number,
): void {
  const c1 = c0 + stride;
  const c2 = c1 + stride;
  const c3 = c2 + stride;
  let p = 0;
  let q = 0;
  let r = 0;
  let s = 0;
  for (let i = 0; i < length; i++) {
    const x = v[at + i] ?? 0;
    p += x * (target[c0 + i] ?? 0);
    q += x * (target[c1 + i] ?? 0);
    r += x * (target[c2 + i] ?? 0);
    s += x * (target[c3 + i] ?? 0);
  }
  p *= beta;
  q *= beta;
  r *= beta;
  s *= beta;
  for (let i = 0; i < length; i++) {
    const x = v[at + i] ?? 0;
    target[c0 + i] = (target[c0 + i] ?? 0) - p * x;
    target[c1 + i] = (target[c1 + i] ?? 0) - q * x;
    target[c2 + i] = (target[c2 + i] ?? 0) - r * x;
    target[c3 + i] = (target[c3 + i] ?? 0) - s * x;
  }
}
