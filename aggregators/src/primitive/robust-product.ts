import { RandomStream } from "@fedlora/core";
import type { RandomKey } from "@fedlora/core";
import { addFour, addScaled, columnMatrix, dotAt } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { factoredProductSvd } from "../linalg/factored-product-svd.js";
import type { TruncatedSvd } from "../linalg/factored-product-svd.js";
import { HouseholderQr } from "../linalg/householder-qr.js";
import type { CoordinateRule } from "./robust-coordinates.js";
import type { FactorPoint } from "./robust-geometry.js";

export interface CoordinateProduct {
  readonly svd: TruncatedSvd;
  /** ||M||_F^2 */
  readonly square: number;
  /** ||M - U S V^T||_F^2 of the triplets that are kept, to about 2^-50 ||M||_F^2. */
  readonly leftOut: number;
}

/** Rows `row` to `row + count - 1` of M, one after the other. */
type VisitRows = (row: number, count: number, values: Float64Array) => void;

/** Rows of all products held at once. */
const blockRows = 8;

/**
 * Decomposes M, whose element (i, j) is the rule's result on the elements (i, j) of the products B_k A_k, to `rank`. M has
 * full rank as a rule and is never held: its rows are computed again in each sweep, a few at a time. Randomised subspace
 * iteration (Halko, Martinsson, Tropp 2011): a random sketch of M of width l = 2 rank + 8, one power iteration, then the
 * decomposition within the subspace; exact where l reaches a side of M. Work: 4 sweeps (2 where it is exact) of
 * n rank dIn dOut multiply-adds and dIn dOut applications of the rule.
 */
export function coordinateProduct(
  points: readonly FactorPoint[],
  rule: CoordinateRule,
  rank: number,
  key: RandomKey,
): CoordinateProduct {
  const dIn = points[0]?.a.rows ?? 0;
  const dOut = points[0]?.b.rows ?? 0;
  const width = Math.min(2 * rank + 8, dIn, dOut);
  const sweep = (visit: VisitRows): void => sweepRows(points, rule, visit);

  /** An orthonormal basis of M X. */
  const rangeOf = (x: ColumnMatrix): ColumnMatrix => {
    const y = columnMatrix(dOut, x.columns);
    sweep((row, count, values) => {
      for (let c = 0; c < x.columns; c++) {
        for (let i = 0; i < count; i++) y.values[c * dOut + row + i] = dotAt(values, i * dIn, x.values, c * dIn, dIn);
      }
    });
    return basisOf(y);
  };
  let square = 0;
  /** M^T Q */
  const project = (q: ColumnMatrix): ColumnMatrix => {
    const z = columnMatrix(dIn, q.columns);
    square = 0;
    sweep((row, count, values) => {
      for (let i = 0; i < count; i++) square += dotAt(values, i * dIn, values, i * dIn, dIn);
      for (let c = 0; c < q.columns; c++) {
        addColumns(z.values, c * dIn, values, q.values, c * dOut + row, count, dIn);
      }
    });
    return z;
  };

  const random = Float64Array.from(new RandomStream(key).normals(dIn * width, 1));
  let range = rangeOf(columnMatrix(dIn, width, random));
  let rows = project(range);
  if (width < Math.min(dIn, dOut)) {
    range = rangeOf(basisOf(rows));
    rows = project(range);
  }
  const svd = factoredProductSvd(range, rows, rank);
  const kept = svd.s.subarray(0, rank).reduce((sum, size) => sum + size * size, 0);
  return { svd, square, leftOut: Math.max(0, square - kept) };
}

/** Calls `visit` for the rows of M, in order; the array is only valid until the next call. */
function sweepRows(points: readonly FactorPoint[], rule: CoordinateRule, visit: VisitRows): void {
  const dIn = points[0]?.a.rows ?? 0;
  const dOut = points[0]?.b.rows ?? 0;
  const products = points.map(() => new Float64Array(blockRows * dIn));
  const result = new Float64Array(blockRows * dIn);
  const values = new Float64Array(points.length);
  const row = new Float64Array(points[0]?.b.columns ?? 0);
  for (let start = 0; start < dOut; start += blockRows) {
    const count = Math.min(blockRows, dOut - start);
    points.forEach(({ a, b }, k) => {
      const product = products[k] ?? result;
      product.fill(0);
      for (let i = 0; i < count; i++) {
        for (let q = 0; q < a.columns; q++) row[q] = b.values[q * dOut + start + i] ?? 0;
        addColumns(product, i * dIn, a.values, row, 0, a.columns, dIn);
      }
    });
    for (let at = 0; at < count * dIn; at++) {
      for (let k = 0; k < values.length; k++) values[k] = products[k]?.[at] ?? 0;
      result[at] = rule(values);
    }
    visit(start, count, result);
  }
}

/** out[at + i] += the sum over c < count of factors[atFactors + c] * x[c * length + i], four at a time, from the first on. */
function addColumns(
  out: Float64Array,
  at: number,
  x: Float64Array,
  factors: Float64Array,
  atFactors: number,
  count: number,
  length: number,
): void {
  let c = 0;
  for (; c + 3 < count; c += 4) addFour(out, at, x, c * length, factors, atFactors + c, length);
  for (; c < count; c++) addScaled(out, at, factors[atFactors + c] ?? 0, x, c * length, length);
}

/** Orthonormal columns that span those of a matrix, which is overwritten. */
function basisOf(matrix: ColumnMatrix): ColumnMatrix {
  const qr = new HouseholderQr(matrix);
  const identity = columnMatrix(qr.rank, qr.rank);
  for (let j = 0; j < qr.rank; j++) identity.values[j * qr.rank + j] = 1;
  return qr.applyQ(identity);
}
