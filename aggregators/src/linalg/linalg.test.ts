import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { numbers } from "../testing/product-round.js";
import { columnMatrix, crossGram, gram, multiply, squaredNorm, transposed } from "./column-matrix.js";
import type { ColumnMatrix } from "./column-matrix.js";
import { factoredProductSvd, tailNorm } from "./factored-product-svd.js";
import { HouseholderQr } from "./householder-qr.js";
import { ridgeSolve } from "./ridge-solve.js";
import { smallSvd } from "./small-svd.js";
import { subspaceSvd } from "./subspace-svd.js";

interface ProductCase {
  readonly name: string;
  readonly left: number[][];
  readonly right: number[][];
  readonly rank: number;
  readonly singularValues: number[];
  readonly u: number[][];
  readonly v: number[][];
  readonly truncated: number[][];
  readonly tail: number;
}
interface RidgeCase {
  readonly name: string;
  readonly s: number[][];
  readonly lambda: number;
  readonly x: number[][];
  readonly solution: number[][];
}
const golden = JSON.parse(readFileSync(new URL("../../../testdata/linalg/golden.json", import.meta.url), "utf8")) as {
  readonly products: readonly ProductCase[];
  readonly ridges: readonly RidgeCase[];
};

const fromRows = (rows: number[][]): ColumnMatrix =>
  transposed(columnMatrix(rows[0]!.length, rows.length, Float64Array.from(rows.flat())));
const copyOf = ({ rows, columns, values }: ColumnMatrix): ColumnMatrix => columnMatrix(rows, columns, values.slice());
const scaledColumns = (x: ColumnMatrix, s: Float64Array): ColumnMatrix =>
  columnMatrix(
    x.rows,
    x.columns,
    x.values.map((value, i) => value * s[Math.floor(i / x.rows)]!),
  );

function expectClose(got: ColumnMatrix, expected: ColumnMatrix, tolerance: number): void {
  expect([got.rows, got.columns]).toEqual([expected.rows, expected.columns]);
  const scale = Math.max(1, Math.sqrt(squaredNorm(expected)));
  got.values.forEach((value, i) => expect(Math.abs(value - expected.values[i]!)).toBeLessThan(tolerance * scale));
}

const matrix = (rows: fc.Arbitrary<number>, columns: fc.Arbitrary<number>): fc.Arbitrary<ColumnMatrix> =>
  fc.tuple(rows, columns).chain(([height, width]) =>
    fc
      .array(fc.oneof(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(0, 1, -1)), {
        minLength: height * width,
        maxLength: height * width,
      })
      .map((values) => columnMatrix(height, width, Float64Array.from(values))),
  );
const size = fc.integer({ min: 1, max: 9 });
const anyMatrix = matrix(size, size);

describe("Householder QR", () => {
  test("Q R is the matrix, for tall, wide and singular ones", () => {
    fc.assert(
      fc.property(anyMatrix, (a) => {
        const qr = new HouseholderQr(copyOf(a));
        const r = qr.r();
        expectClose(qr.applyQ(r), a, 1e-13);
        for (let j = 0; j < r.columns; j++) {
          for (let i = j + 1; i < r.rows; i++) expect(r.values[j * r.rows + i]).toBe(0);
        }
      }),
    );
  });

  test("Q has orthonormal columns even where the matrix has dependent ones", () => {
    fc.assert(
      fc.property(anyMatrix, (a) => {
        const qr = new HouseholderQr(copyOf(a));
        const k = qr.rank;
        const identity = columnMatrix(
          k,
          k,
          Float64Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0)),
        );
        expectClose(gram(qr.applyQ(identity)), identity, 1e-13);
      }),
    );
  });
});

describe("the small singular value decomposition", () => {
  test("U S V^T is the matrix, singular values descend, vectors of those above 0 are orthonormal", () => {
    fc.assert(
      fc.property(anyMatrix, (a) => {
        const { u, s, v } = smallSvd(a);
        expectClose(multiply(scaledColumns(u, s), transposed(v)), a, 1e-13);
        expect([...s]).toEqual([...s].sort((x, y) => y - x));
        for (const vectors of [u, v]) {
          const products = gram(vectors);
          for (let j = 0; j < s.length; j++) {
            for (let i = 0; i < s.length; i++) {
              if (s[i]! < 1e-12 || s[j]! < 1e-12) continue;
              expect(Math.abs(products.values[j * s.length + i]! - (i === j ? 1 : 0))).toBeLessThan(1e-12);
            }
          }
        }
      }),
    );
  });

  test("leaves its input as it is", () => {
    const a = fromRows([
      [3, 1],
      [-2, 5],
      [0.5, 4],
    ]);
    const before = copyOf(a);
    smallSvd(a);
    expect(a).toEqual(before);
  });
});

describe("the decomposition of a factored product", () => {
  test.each(golden.products)("agrees with LAPACK: $name", (row) => {
    const left = fromRows(row.left);
    const right = transposed(fromRows(row.right));

    const { u, s, v } = factoredProductSvd(left, right, row.rank);

    const largest = row.singularValues[0]!;
    expect(s).toHaveLength(row.singularValues.length);
    row.singularValues.forEach((expected, i) => expect(Math.abs(s[i]! - expected)).toBeLessThan(1e-13 * largest));
    expect(Math.abs(tailNorm(s, row.rank) - row.tail)).toBeLessThan(1e-13 * largest);
    expectClose(multiply(scaledColumns(u, s), transposed(v)), fromRows(row.truncated), 1e-13);
    // LAPACK's vectors of tiny singular values carry errors of their own.
    const clear = row.singularValues.slice(0, row.rank).filter((value) => value > 1e-5 * largest).length;
    for (const [got, expected] of [
      [u, row.u],
      [v, row.v],
    ] as const) {
      for (let j = 0; j < clear; j++) {
        for (let i = 0; i < got.rows; i++) expect(got.values[j * got.rows + i]).toBeCloseTo(expected[i]![j]!, 8);
      }
    }
  });

  test.each(golden.products)("subspace iteration finds the same: $name", (row) => {
    const left = fromRows(row.left);
    const right = transposed(fromRows(row.right));
    const { u, s, v, norm, leftOut } = subspaceSvd(left, right, row.rank);
    expectClose(multiply(scaledColumns(u, s), transposed(v)), fromRows(row.truncated), 1e-10);
    const largest = row.singularValues[0]!;
    expect(norm).toBeCloseTo(Math.sqrt(row.singularValues.reduce((sum, x) => sum + x * x, 0)), 10);
    expect(Math.abs(leftOut - row.tail)).toBeLessThan(2e-8 * norm + 1e-12 * largest);
    expect(left).toEqual(fromRows(row.left));
  });

  test("is the best approximation to the last digits that count, where the core is too large for the full one", () => {
    const [dOut, dIn, n, rank] = [70, 60, 50, 3];
    // Singular values fall slowly, and the directions are random.
    const left = columnMatrix(dOut, n, Float64Array.from(numbers(dOut * n, 1)));
    const right = columnMatrix(
      dIn,
      n,
      Float64Array.from(numbers(dIn * n, 2), (x, at) => x / (1 + Math.floor(at / dIn)) ** 0.5),
    );
    const full = smallSvd(multiply(left, transposed(right)));

    const { u, s, v, norm, leftOut } = factoredProductSvd(copyOf(left), copyOf(right), rank, 30);

    expect(s.length).toBeLessThan(n);
    expect(norm / tailNorm(full.s, 0)).toBeCloseTo(1, 12);
    const approximation = multiply(scaledColumns(u, s), transposed(v));
    const difference = multiply(left, transposed(right));
    approximation.values.forEach((value, i) => (difference.values[i] = difference.values[i]! - value));
    const least = tailNorm(full.s, rank);
    expect(Math.sqrt(squaredNorm(difference)) / least - 1).toBeLessThan(1e-9);
    expect(leftOut / least).toBeCloseTo(1, 9);
  });

  test("keeps relative accuracy in small singular values that the factors hold", () => {
    const { left, right } = golden.products.find(({ name }) => name.includes("nine decades"))!;
    const { s } = factoredProductSvd(fromRows(left), transposed(fromRows(right)), 4);
    // Scaling the small columns of the left factor by 2 scales the smallest singular value by nearly 2.
    const doubled = left.map((row) => row.map((value, j) => (j === 3 ? 2 * value : value)));
    const other = factoredProductSvd(fromRows(doubled), transposed(fromRows(right)), 4).s;
    expect(other[3]! / s[3]!).toBeCloseTo(2, 4);
  });

  test("a product of nothing but zeros has singular values of zero", () => {
    const { s } = factoredProductSvd(columnMatrix(4, 2), columnMatrix(3, 2), 2);
    expect([...s]).toEqual([0, 0]);
  });

  test("depends on the product alone: any invertible change between the factors leaves it", () => {
    const { left, right, rank, truncated } = golden.products[0]!;
    const n = left[0]!.length;
    const flip = columnMatrix(
      n,
      n,
      Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? -3 : 0)),
    );
    const u = multiply(fromRows(left), flip);
    const flat = multiply(transposed(fromRows(right)), flip);
    const { u: vectors, s, v } = factoredProductSvd(u, flat, rank);
    expectClose(
      multiply(
        scaledColumns(
          vectors,
          s.map((x) => x / 9),
        ),
        transposed(v),
      ),
      fromRows(truncated),
      1e-13,
    );
  });
});

test.each(golden.ridges)("the ridge solution agrees with LAPACK: $name", ({ s, lambda, x, solution }) => {
  expectClose(ridgeSolve(fromRows(s), lambda, fromRows(x)), fromRows(solution), 1e-11);
});

test("a pivot that rounding left of zero counts as zero: the solution is that of least norm", () => {
  const s = fromRows([
    [1, 1],
    [1, 1 + 2 ** -50],
  ]);
  expectClose(ridgeSolve(s, 0, fromRows([[1, 0]])), fromRows([[0.25, 0.25]]), 1e-12);
});

test("Gram matrices are symmetric in every bit and agree with the product", () => {
  fc.assert(
    fc.property(anyMatrix, (a) => {
      const products = gram(a);
      expect(transposed(products)).toEqual(products);
      expectClose(products, multiply(transposed(a), a), 1e-14);
      expect(crossGram(a, a)).toEqual(products);
    }),
  );
});
