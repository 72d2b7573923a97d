import { describe, expect, test } from "vitest";
import { orthonormalizeRows } from "./orthonormal-rows.js";

/** Largest entry of Q Q^T - I. */
function gramError(values: Float64Array, rows: number, columns: number): number {
  let worst = 0;
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < rows; j += 1) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; k < columns; k += 1) sum += values[i * columns + k]! * values[j * columns + k]!;
      worst = Math.max(worst, Math.abs(sum));
    }
  }
  return worst;
}

test("rows in the order given, each against those before it", () => {
  const values = Float64Array.of(3, 4, 0, 1, 0, 2);

  orthonormalizeRows(values, 2, 3);

  // By hand: (1, 0, 2) less 0.6 times (0.6, 0.8, 0) is (0.64, -0.48, 2), of squared norm 4.64.
  const norm = Math.sqrt(4.64);
  const expected = [0.6, 0.8, 0, 0.64 / norm, -0.48 / norm, 2 / norm];
  expected.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 15));
});

test("one pass is not enough for Laeuchli's rows, which are nearly parallel; two are", () => {
  const e = 1e-8;
  const values = Float64Array.of(1, e, 0, 0, 1, 0, e, 0, 1, 0, 0, e);

  orthonormalizeRows(values, 3, 4);

  expect(gramError(values, 3, 4)).toBeLessThan(1e-15);
});

test("the size of a row does not matter, nor do values beyond the rows", () => {
  const values = Float64Array.of(1e-20, 0, 1e20, 1e20, 7, 7);

  orthonormalizeRows(values, 2, 2);

  expect([...values]).toEqual([1, 0, 0, 1, 7, 7]);
});

describe("a row that depends on those before it is refused", () => {
  test.each([
    ["a multiple", [1, 2, 2, 4], 2, 2, 1],
    ["a sum, up to 11 digits", [1, 0, 0, 0, 1, 0, 1, 1, 1e-11], 3, 3, 2],
    ["zeros", [0, 0], 1, 2, 0],
    ["more rows than columns", [1, 0, 0, 1, 1, 2], 3, 2, 2],
    ["not a number", [Number.NaN, 1], 1, 2, 0],
  ] as const)("%s", (_, values, rows, columns, row) => {
    expect(() => orthonormalizeRows(Float64Array.from(values), rows, columns)).toThrow(
      expect.objectContaining({ code: "tensor-invalid", message: `row ${row} depends on the rows before it` }),
    );
  });

  test("one that depends up to nine digits is kept", () => {
    const values = Float64Array.of(1, 0, 1, 1e-9);
    orthonormalizeRows(values, 2, 2);
    expect(gramError(values, 2, 2)).toBeLessThan(1e-15);
  });
});
