/**
 * Squared Frobenius norms of sum_k B_k A_k over all blocks, and over all but the first, without the dOut x dIn product:
 * || sum_k B_k A_k ||^2 = sum_ij <B_i^T B_j, A_i A_j^T>, and the Gram matrices are rank x rank.
 *
 * @param a blocks A_k [rank, dIn], row-major
 * @param b blocks B_k [dOut, rank], row-major
 */
export function stackedProductNorms(
  a: readonly Float64Array[],
  b: readonly Float64Array[],
  shape: { readonly rank: number; readonly dIn: number; readonly dOut: number },
): { readonly all: number; readonly withoutFirst: number } {
  const { rank, dIn, dOut } = shape;
  const rows = a.flatMap((block) => rowsOf(block, rank, dIn));
  const columns = b.flatMap((block) => rowsOf(transpose(block, dOut, rank), rank, dOut));
  let all = 0;
  let withoutFirst = 0;
  rows.forEach((row, i) => {
    const column = columns[i];
    for (let j = 0; column !== undefined && j <= i; j++) {
      const otherRow = rows[j];
      const otherColumn = columns[j];
      if (otherRow === undefined || otherColumn === undefined) continue;
      const term = dot(row, otherRow) * dot(column, otherColumn) * (i === j ? 1 : 2);
      all += term;
      if (j >= rank) withoutFirst += term;
    }
  });
  // A sum of squares: what rounding leaves below zero is zero.
  return { all: Math.max(0, all), withoutFirst: Math.max(0, withoutFirst) };
}

function rowsOf(matrix: Float64Array, rows: number, width: number): Float64Array[] {
  return Array.from({ length: rows }, (_, i) => matrix.subarray(i * width, (i + 1) * width));
}

function transpose(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j] ?? 0;
  }
  return out;
}

/** Four sums at once: an addition takes four cycles, and the result is fixed by this code. */
function dot(x: Float64Array, y: Float64Array): number {
  let p = 0;
  let q = 0;
  let r = 0;
  let s = 0;
  let i = 0;
  for (; i + 3 < x.length; i += 4) {
    p += (x[i] ?? 0) * (y[i] ?? 0);
    q += (x[i + 1] ?? 0) * (y[i + 1] ?? 0);
    r += (x[i + 2] ?? 0) * (y[i + 2] ?? 0);
    s += (x[i + 3] ?? 0) * (y[i + 3] ?? 0);
  }
  for (; i < x.length; i++) p += (x[i] ?? 0) * (y[i] ?? 0);
  return p + q + (r + s);
}
