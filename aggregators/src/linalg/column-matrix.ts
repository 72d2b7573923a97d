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

/** X^T Y [x.columns, y.columns], both of the same height; every entry is summed from the first row to the last. */
export function crossGram(x: ColumnMatrix, y: ColumnMatrix): ColumnMatrix {
  const out = columnMatrix(x.columns, y.columns);
  for (let i = 0; i < x.columns; i += 2) {
    for (let j = 0; j < y.columns; j += 4) dotTile(x, i, y, j, out);
  }
  return out;
}

/** X^T X, symmetric in every bit. */
export function gram(x: ColumnMatrix): ColumnMatrix {
  const n = x.columns;
  const out = columnMatrix(n, n);
  for (let i = 0; i < n; i += 2) {
    for (let j = i - (i % 4); j < n; j += 4) dotTile(x, i, x, j, out);
  }
  for (let j = 0; j < n; j++) {
    for (let i = j + 1; i < n; i++) out.values[j * n + i] = out.values[i * n + j] ?? 0;
  }
  return out;
}

/**
 * Entries (i, j) to (i + 1, j + 3) of X^T Y, so that a value read serves several sums. At the edges columns are read
 * twice instead of not at all: the sums stay the same.
 */
function dotTile(x: ColumnMatrix, i: number, y: ColumnMatrix, j: number, out: ColumnMatrix): void {
  const { rows } = x;
  const lastX = x.columns - 1;
  const lastY = y.columns - 1;
  const [j1, j2, j3] = [Math.min(j + 1, lastY), Math.min(j + 2, lastY), Math.min(j + 3, lastY)];
  const i1 = Math.min(i + 1, lastX);
  const [x0, x1] = [i * rows, i1 * rows];
  const [y0, y1, y2, y3] = [j * rows, j1 * rows, j2 * rows, j3 * rows];
  const a = x.values;
  const b = y.values;
  let p0 = 0;
  let p1 = 0;
  let p2 = 0;
  let p3 = 0;
  let q0 = 0;
  let q1 = 0;
  let q2 = 0;
  let q3 = 0;
  for (let k = 0; k < rows; k++) {
    const u = a[x0 + k] ?? 0;
    const v = a[x1 + k] ?? 0;
    const c0 = b[y0 + k] ?? 0;
    const c1 = b[y1 + k] ?? 0;
    const c2 = b[y2 + k] ?? 0;
    const c3 = b[y3 + k] ?? 0;
    p0 += u * c0;
    p1 += u * c1;
    p2 += u * c2;
    p3 += u * c3;
    q0 += v * c0;
    q1 += v * c1;
    q2 += v * c2;
    q3 += v * c3;
  }
  const height = out.rows;
  const target = out.values;
  target[j * height + i] = p0;
  target[j1 * height + i] = p1;
  target[j2 * height + i] = p2;
  target[j3 * height + i] = p3;
  target[j * height + i1] = q0;
  target[j1 * height + i1] = q1;
  target[j2 * height + i1] = q2;
  target[j3 * height + i1] = q3;
}

/** X Y; four columns of X at a time, each read once for all of Y. */
export function multiply(x: ColumnMatrix, y: ColumnMatrix): ColumnMatrix {
  const { rows, columns } = x;
  const out = columnMatrix(rows, y.columns);
  let q = 0;
  for (; q + 3 < columns; q += 4) {
    for (let j = 0; j < y.columns; j++)
      addFour(out.values, j * rows, x.values, q * rows, y.values, j * columns + q, rows);
  }
  for (; q < columns; q++) {
    for (let j = 0; j < y.columns; j++) {
      addScaled(out.values, j * rows, y.values[j * columns + q] ?? 0, x.values, q * rows, rows);
    }
  }
  return out;
}

/** out[at + i] += the sum over c < 4 of factors[atFactors + c] * x[atX + c * length + i]. */
export function addFour(
  out: Float64Array,
  at: number,
  x: Float64Array,
  atX: number,
  factors: Float64Array,
  atFactors: number,
  length: number,
): void {
  const f0 = factors[atFactors] ?? 0;
  const f1 = factors[atFactors + 1] ?? 0;
  const f2 = factors[atFactors + 2] ?? 0;
  const f3 = factors[atFactors + 3] ?? 0;
  const [x1, x2, x3] = [atX + length, atX + 2 * length, atX + 3 * length];
  for (let i = 0; i < length; i++) {
    out[at + i] =
      (out[at + i] ?? 0) +
      f0 * (x[atX + i] ?? 0) +
      f1 * (x[x1 + i] ?? 0) +
      f2 * (x[x2 + i] ?? 0) +
      f3 * (x[x3 + i] ?? 0);
  }
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
