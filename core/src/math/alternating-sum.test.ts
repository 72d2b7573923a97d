import { expect, test } from "vitest";
import { alternatingSum } from "./alternating-sum.js";

const terms = (count: number, term: (i: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => term(i));

test("slow series to all digits from 24 terms", () => {
  expect(alternatingSum(terms(24, (i) => 1 / (i + 1)))).toBeCloseTo(Math.LN2, 15);
  expect(alternatingSum(terms(24, (i) => 1 / (2 * i + 1)))).toBeCloseTo(Math.PI / 4, 15);
});

test("the error shrinks as promised", () => {
  for (const n of [2, 5, 10]) {
    expect(Math.abs(alternatingSum(terms(n, (i) => 1 / (i + 1))) - Math.LN2)).toBeLessThan(2 / 5.828 ** n);
  }
});
