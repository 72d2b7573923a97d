import type { FeatureTable } from "../data/simulation-data.js";
import { openLinearKernels, reserve } from "./linear-kernels.js";

/** Rows of the matrix that the kernels take at once. */
const block = 8;

/** Where things lie in the kernels' memory, in bytes. */
interface Places {
  /** By rows, on the way in and out. */
  readonly rows: number;
  /** By columns: the matrix, and the sum of outer products. */
  readonly matrix: number;
  readonly sum: number;
  readonly hidden: number;
  readonly ofHidden: number;
  readonly values: number;
  readonly indices: number;
}

/**
 * Products of a matrix [rank, dim] with examples of a table, and sums of outer products with them, which is nearly all work of
 * the linear model. Sums are taken in the order of an example's numbers: products with the matrix in float64, outer products
 * rounded to float32 after each example, so their bits are those of two plain loops.
 */
export class RowProducts {
  readonly #memory;
  readonly #kernels;
  #rank = 0;
  #dim = 0;
  #padded = 0;
  #places: Places = { rows: 0, matrix: 0, sum: 0, hidden: 0, ofHidden: 0, values: 0, indices: 0 };
  /** Where each example begins, and after them where the last one ends. */
  #offsets = new Int32Array(1);
  /** Rows of the table that the examples are. */
  rows: Int32Array = new Int32Array(0);
  /** The last product, [rank]. */
  hidden = new Float64Array(0);
  /** What `accumulate` multiplies an example with, [rank]. */
  ofHidden = new Float64Array(0);

  constructor() {
    const { memory, kernels } = openLinearKernels();
    this.#memory = memory;
    this.#kernels = kernels;
  }

  /** Takes rows of the table in as examples 0, 1, ...; matrix and sum are zeros, `hidden` and `ofHidden` new arrays. */
  open(rank: number, { dim, offsets, indices, values }: FeatureTable, rows: Int32Array): void {
    const numbers = rows.reduce((sum, row) => sum + (offsets[row + 1] ?? 0) - (offsets[row] ?? 0), 0);
    this.rows = rows;
    this.#rank = rank;
    this.#dim = dim;
    this.#padded = Math.ceil(rank / block) * block;
    this.#offsets = new Int32Array(rows.length + 1);
    const places = this.#reserve(numbers);
    const { buffer } = this.#memory;
    new Uint8Array(buffer, 0, places.values).fill(0);
    this.hidden = new Float64Array(buffer, places.hidden, rank);
    this.ofHidden = new Float64Array(buffer, places.ofHidden, rank);
    const ownValues = new Float32Array(buffer, places.values, numbers);
    const ownIndices = new Uint16Array(buffer, places.indices, numbers);
    let at = 0;
    for (let example = 0; example < rows.length; example += 1) {
      const row = rows[example] ?? 0;
      const to = offsets[row + 1] ?? 0;
      // Faster than `set`, which needs a view of each row.
      for (let i = offsets[row] ?? 0; i < to; i += 1, at += 1) {
        ownValues[at] = values[i] ?? 0;
        ownIndices[at] = indices[i] ?? 0;
      }
      this.#offsets[example + 1] = at;
    }
  }

  /** Sets the matrix, row-major. */
  setMatrix(matrix: Float32Array): void {
    const { rows, matrix: to } = this.#places;
    new Float32Array(this.#memory.buffer, rows, matrix.length).set(matrix);
    this.#kernels.toColumns(rows, this.#rank, this.#dim, this.#padded, to);
  }

  /** `hidden` = matrix times example. */
  project(example: number): void {
    const { matrix, indices, values, hidden } = this.#places;
    const from = this.#offsets[example] ?? 0;
    const count = (this.#offsets[example + 1] ?? 0) - from;
    this.#kernels.project(matrix, this.#padded, indices + 2 * from, values + 4 * from, count, hidden);
  }

  /** sum += `ofHidden` times example, transposed. */
  accumulate(example: number): void {
    const { sum, indices, values, ofHidden } = this.#places;
    const from = this.#offsets[example] ?? 0;
    const count = (this.#offsets[example + 1] ?? 0) - from;
    this.#kernels.accumulate(sum, this.#padded, indices + 2 * from, values + 4 * from, count, ofHidden);
  }

  /** The sum [rank, dim], row-major, which begins at zero again; it is overwritten by `setMatrix` and the next `takeSum`. */
  takeSum(): Float32Array {
    const { rows, sum } = this.#places;
    this.#kernels.takeRows(sum, this.#rank, this.#dim, this.#padded, rows);
    return new Float32Array(this.#memory.buffer, rows, this.#rank * this.#dim);
  }

  #reserve(numbers: number): Places {
    const matrixBytes = 4 * this.#padded * this.#dim;
    const vectorBytes = 8 * this.#padded;
    let end = 0;
    const place = (bytes: number): number => {
      const start = end;
      end += Math.ceil(bytes / 16) * 16;
      return start;
    };
    this.#places = {
      rows: place(matrixBytes),
      matrix: place(matrixBytes),
      sum: place(matrixBytes),
      hidden: place(vectorBytes),
      ofHidden: place(vectorBytes),
      values: place(4 * numbers),
      indices: place(2 * numbers),
    };
    reserve(this.#memory, end);
    return this.#places;
  }
}
