import { RandomStream } from "@fedlora/core";
import type { RandomKey } from "@fedlora/core";
import { addScaled, columnMatrix, dotAt } from "../linalg/column-matrix.js";
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

/** Row `row` of M, its dIn values from `at` on. */
type VisitRow = (row: number, values: Float64Array, at: number) => void;

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
  const sweep = (visit: VisitRow): void => sweepRows(points, rule, visit);

  /** An orthonormal basis of M X. */
  const rangeOf = (x: ColumnMatrix): ColumnMatrix => {
    const y = columnMatrix(dOut, x.columns);
    sweep((row, values, at) => {
      for (let c = 0; c < x.columns; c++) y.values[c * dOut + row] = dotAt(values, at, x.values, c * dIn, dIn);
    });
    return basisOf(y);
  };
  let square = 0;
  /** M^T Q */
  const project = (q: ColumnMatrix): ColumnMatrix => {
    const z = columnMatrix(dIn, q.columns);
    square = 0;
    sweep((row, values, at) => {
      square += dotAt(values, at, values, at, dIn);
      for (let c = 0; c < q.columns; c++) addScaled(z.values, c * dIn, q.values[c * dOut + row] ?? 0, values, at, dIn);
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

/** Calls `visit` for each row of M, in order; the array is only valid until the next call. */
function sweepRows(points: readonly FactorPoint[], rule: CoordinateRule, visit: VisitRow): void {
  const dIn = points[0]?.a.rows ?? 0;
  const dOut = points[0]?.b.rows ?? 0;
  const products = points.map(() => new Float64Array(blockRows * dIn));
  const result = new Float64Array(blockRows * dIn);
  const values = new Float64Array(points.length);
  for (let start = 0; start < dOut; start += blockRows) {
    const count = Math.min(blockRows, dOut - start);
    points.forEach(({ a, b }, k) => {
      const product = products[k] ?? result;
      product.fill(0);
      for (let i = 0; i < count; i++) {
        for (let q = 0; q < a.columns; q++) {
          addScaled(product, i * dIn, b.values[q * dOut + start + i] ?? 0, a.values, q * dIn, dIn);
        }
      }
    });
    for (let at = 0; at < count * dIn; at++) {
      for (let k = 0; k < values.length; k++) values[k] = products[k]?.[at] ?? 0;
      result[at] = rule(values);
    }
    for (let i = 0; i < count; i++) visit(start + i, result, i * dIn);
  }
}

/** Orthonormal columns that span those of a matrix, which is overwritten. */
function basisOf(matrix: ColumnMatrix): ColumnMatrix {
  const qr = new HouseholderQr(matrix);
  const identity = columnMatrix(qr.rank, qr.rank);
  for (let j = 0; j < qr.rank; j++) identity.values[j * qr.rank + j] = 1;
  return qr.applyQ(identity);
}
