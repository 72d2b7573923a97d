import { FedLoraError } from "../errors.js";

/**
 * Makes the rows of a matrix [rows, columns] orthonormal in place, each against those before it: the modified method of
 * Gram and Schmidt, twice per row, since once loses digits where rows are nearly parallel ("twice is enough", Giraud et
 * al. 2005). Arithmetic in float64 and in a fixed order, so equal input gives equal bits everywhere.
 *
 * @throws FedLoraError `tensor-invalid` where a row depends on those before it, as when rows > columns
 */
export function orthonormalizeRows(values: Float64Array, rows: number, columns: number): void {
  for (let row = 0; row < rows; row += 1) {
    const own = values.subarray(row * columns, (row + 1) * columns);
    const before = Math.sqrt(dot(own, own));
    for (let pass = 0; pass < 2; pass += 1) {
      for (let other = 0; other < row; other += 1) {
        const basis = values.subarray(other * columns, (other + 1) * columns);
        addScaled(own, -dot(own, basis), basis);
      }
    }
    const norm = Math.sqrt(dot(own, own));
    if (!(norm > before * 1e-10)) throw new FedLoraError("tensor-invalid", `row ${row} depends on the rows before it`);
    for (let i = 0; i < columns; i += 1) own[i] = (own[i] ?? 0) / norm;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function addScaled(into: Float64Array, factor: number, values: Float64Array): void {
  for (let i = 0; i < into.length; i += 1) into[i] = (into[i] ?? 0) + factor * (values[i] ?? 0);
}
