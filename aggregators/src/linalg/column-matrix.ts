/** A float64 matrix by columns: entry (i, j) is values[j * rows + i]. */
export interface ColumnMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export function columnMatrix(rows: number, columns: number, values?: Float64Array): ColumnMatrix {
  return { rows, columns, values: values ?? new Float64Array(rows * columns) };
}

export function transposed({ rows, columns, values }: ColumnMatrix): ColumnMatrix {
  const out = columnMatrix(columns, rows);
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) out.values[i * columns + j] = values[j * rows + i] ?? 0;
  }
  return out;
}

/** X^T Y [x.columns, y.columns], both of the same height. */
export function crossGram(x: ColumnMatrix, y: ColumnMatrix): ColumnMatrix {
  const out = columnMatrix(x.columns, y.columns);
  for (let j = 0; j < y.columns; j++) {
    for (let i = 0; i < x.columns; i++) {
      out.values[j * x.columns + i] = dotAt(x.values, i * x.rows, y.values, j * y.rows, x.rows);
    }
  }
  return out;
}

/** X^T X, symmetric in every bit. */
export function gram(x: ColumnMatrix): ColumnMatrix {
  const { rows, columns: n, values } = x;
  const out = columnMatrix(n, n);
  for (let j = 0; j < n; j++) {
    for (let i = 0; i <= j; i++) {
      const dot = dotAt(values, i * rows, values, j * rows, rows);
      out.values[j * n + i] = dot;
      out.values[i * n + j] = dot;
    }
  }
  return out;
}

/** X Y, written column by column. */
export function multiply(x: ColumnMatrix, y: ColumnMatrix): ColumnMatrix {
  const out = columnMatrix(x.rows, y.columns);
  for (let j = 0; j < y.columns; j++) {
    for (let q = 0; q < x.columns; q++) {
      addScaled(out.values, j * x.rows, y.values[j * y.rows + q] ?? 0, x.values, q * x.rows, x.rows);
    }
  }
  return out;
}

/** Sum of x[atX + i] y[atY + i], four sums at once: an addition takes four cycles, and the result is fixed by this code. */
export function dotAt(x: Float64Array, atX: number, y: Float64Array, atY: number, length: number): number {
  let p = 0;
  let q = 0;
  let r = 0;
  let s = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    p += (x[atX + i] ?? 0) * (y[atY + i] ?? 0);
    q += (x[atX + i + 1] ?? 0) * (y[atY + i + 1] ?? 0);
    r += (x[atX + i + 2] ?? 0) * (y[atY + i + 2] ?? 0);
    s += (x[atX + i + 3] ?? 0) * (y[atY + i + 3] ?? 0);
  }
  for (; i < length; i++) p += (x[atX + i] ?? 0) * (y[atY + i] ?? 0);
  return p + q + (r + s);
}

/** out[at + i] += factor * x[atX + i]. */
export function addScaled(
  out: Float64Array,
  at: number,
  factor: number,
  x: Float64Array,
  atX: number,
  length: number,
): void {
  if (factor === 0) return;
  for (let i = 0; i < length; i++) out[at + i] = (out[at + i] ?? 0) + factor * (x[atX + i] ?? 0);
}

export function squaredNorm({ values }: ColumnMatrix): number {
  return dotAt(values, 0, values, 0, values.length);
}
