import { deriveKey, randomKey, RandomStream } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { columnMatrix, multiply, transposed } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { smallSvd } from "../linalg/small-svd.js";
import { coordinateMedian, trimmedMean } from "./robust-coordinates.js";
import type { CoordinateRule } from "./robust-coordinates.js";
import { coordinateProduct } from "./robust-product.js";

const key = randomKey(5);
/** Honest updates near a common low-rank model, and the last `hostile` far away. */
function clients(count: number, dOut: number, rank: number, dIn: number, hostile = 0) {
  const matrix = (rows: number, columns: number, std: number, ...labels: (string | number)[]): ColumnMatrix =>
    columnMatrix(
      rows,
      columns,
      Float64Array.from(new RandomStream(deriveKey(key, ...labels)).normals(rows * columns, std)),
    );
  const near = (rows: number, factor: string, k: number): ColumnMatrix => {
    const common = matrix(
      rows,
      rank,
      k >= count - hostile ? 30 : 1,
      factor,
      k >= count - hostile ? "hostile" : "honest",
    );
    const own = matrix(rows, rank, 0.1, factor, k);
    return columnMatrix(
      rows,
      rank,
      common.values.map((value, i) => value + own.values[i]!),
    );
  };
  return Array.from({ length: count }, (_, k) => ({ a: near(dIn, "a", k), b: near(dOut, "b", k) }));
}

/** The rule's result, dense. */
function denseOf(points: ReturnType<typeof clients>, rule: CoordinateRule): ColumnMatrix {
  const products = points.map(({ a, b }) => multiply(b, transposed(a)));
  const first = products[0]!;
  const values = first.values.map((_, i) => rule(Float64Array.from(products, (product) => product.values[i]!)));
  return columnMatrix(first.rows, first.columns, values);
}
const norm = (values: Float64Array): number => Math.hypot(...values);

describe.each([
  ["trimmed mean", trimmedMean(0.2), 0],
  ["trimmed mean under attack", trimmedMean(0.2), 2],
  ["median under attack", coordinateMedian, 3],
] as const)("the %s of products", (_, rule, hostile) => {
  test.each([
    [60, 3, 45],
    [45, 2, 60],
    [9, 3, 7],
    [7, 1, 9],
  ])("%i x rank %i x %i is nearly the best of its rank, and its error is what it says", (dOut, rank, dIn) => {
    const points = clients(10, dOut, rank, dIn, hostile);
    const exact = denseOf(points, rule);
    const { svd, square, leftOut } = coordinateProduct(points, rule, rank, key);

    const scaledU = columnMatrix(
      dOut,
      rank,
      svd.u.values.map((value, i) => value * svd.s[Math.floor(i / dOut)]!),
    );
    const found = multiply(scaledU, transposed(svd.v)).values;
    const error = norm(exact.values.map((value, i) => value - found[i]!));
    const best = norm(smallSvd(exact).s.slice(rank));
    expect(Math.sqrt(square)).toBeCloseTo(norm(exact.values), 8);
    expect(Math.sqrt(leftOut)).toBeCloseTo(error, 5);
    expect(error).toBeLessThanOrEqual(1.005 * best + 1e-6);
  });
});

test("a product of zeros stays zero", () => {
  const zero = { a: columnMatrix(6, 2), b: columnMatrix(5, 2) };
  const { svd, square, leftOut } = coordinateProduct([zero, zero, zero], coordinateMedian, 2, key);

  expect([square, leftOut, ...svd.s].every((value) => value === 0)).toBe(true);
});
