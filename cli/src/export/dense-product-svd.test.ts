import { columnMatrix, smallSvd, type ColumnMatrix } from "@fedlora/aggregators";
import { deriveKey, randomKey, RandomStream } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { denseProductSvd } from "./dense-product-svd.js";

const random = new RandomStream(deriveKey(randomKey(3), "dense-product-svd.test"));
const normals = (count: number): Float64Array => Float64Array.from({ length: count }, () => random.normal());

/** A sum of factors and two dense matrices, whose singular values fall slowly; and all of it in one matrix. */
function sumOf(dOut: number, dIn: number, n: number) {
  const [left, right] = [columnMatrix(dOut, n, normals(dOut * n)), columnMatrix(dIn, n, normals(dIn * n))];
  const matrices = [1, 2].map(() => Float32Array.from(normals(dOut * dIn)));
  const whole = columnMatrix(dOut, dIn);
  for (let i = 0; i < dOut; i++) {
    for (let j = 0; j < dIn; j++) {
      let sum = matrices.reduce((total, matrix) => total + matrix[i * dIn + j]!, 0);
      for (let q = 0; q < n; q++) sum += left.values[q * dOut + i]! * right.values[q * dIn + j]!;
      whole.values[j * dOut + i] = sum;
    }
  }
  const dense = matrices.map(
    (matrix) => (first: number, count: number) => Promise.resolve(matrix.slice(first * dIn, (first + count) * dIn)),
  );
  return { left, right, dense, whole };
}

const normOf = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

function distance(whole: ColumnMatrix, { u, s, v }: Awaited<ReturnType<typeof denseProductSvd>>): number {
  const rest = whole.values.slice();
  for (let q = 0; q < u.columns; q++) {
    for (let j = 0; j < v.rows; j++) {
      for (let i = 0; i < u.rows; i++) {
        rest[j * whole.rows + i]! -= u.values[q * u.rows + i]! * s[q]! * v.values[q * v.rows + j]!;
      }
    }
  }
  return normOf(rest);
}

describe("the leading triplets of factors and dense matrices", () => {
  test.each([
    ["tall", 90, 40, 3, 2],
    ["wide", 40, 90, 3, 2],
    ["without factors", 60, 50, 0, 4],
    ["of more rows than one block", 2300, 60, 2, 3],
    ["as many as the smaller side allows", 12, 9, 2, 9],
  ])("%s: the error is the least one, and the one that is told", async (_, dOut, dIn, n, rank) => {
    const { left, right, dense, whole } = sumOf(dOut, dIn, n);
    const { s } = smallSvd(whole);
    const least = normOf(s.subarray(rank));

    const found = await denseProductSvd(left, right, dense, rank);

    expect(found.u.columns).toBe(rank);
    expect(found.norm / normOf(whole.values)).toBeCloseTo(1, 10);
    const error = distance(whole, found);
    expect(error).toBeLessThan(least * (1 + 1e-3) + 1e-7 * found.norm);
    expect(Math.abs(error - found.leftOut)).toBeLessThan(1e-6 * found.norm);
  });

  test("of zeros are zeros", async () => {
    const dense = [(_: number, count: number) => Promise.resolve(new Float32Array(count * 5))];

    const { s, norm, leftOut } = await denseProductSvd(columnMatrix(7, 0), columnMatrix(5, 0), dense, 2);

    expect([s.every((value) => value === 0), norm, leftOut]).toEqual([true, 0, 0]);
  });
});
