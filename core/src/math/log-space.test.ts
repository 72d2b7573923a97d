import fc from "fast-check";
import { expect, test } from "vitest";
import { log1pExp, logAdd, logExpm1 } from "./log-space.js";

const exponent = fc.double({ min: -30, max: 30, noNaN: true });

test("sums of exponentials", () => {
  fc.assert(
    fc.property(exponent, exponent, (a, b) => {
      expect(logAdd(a, b)).toBeCloseTo(Math.log(Math.exp(a) + Math.exp(b)), 12);
      expect(log1pExp(a)).toBeCloseTo(Math.log1p(Math.exp(a)), 12);
    }),
  );
  expect(logAdd(1000, 1000)).toBeCloseTo(1000 + Math.LN2, 12);
  expect(logAdd(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
  expect(logAdd(Number.NEGATIVE_INFINITY, 3)).toBe(3);
  expect(logAdd(Number.POSITIVE_INFINITY, 3)).toBe(Number.POSITIVE_INFINITY);
});

test("small and large exponents keep their digits", () => {
  expect(log1pExp(-50)).toBe(Math.exp(-50));
  expect(log1pExp(800)).toBe(800);
  expect(logExpm1(1e-12)).toBeCloseTo(Math.log(1e-12), 11);
  expect(logExpm1(2)).toBeCloseTo(Math.log(Math.exp(2) - 1), 14);
  expect(logExpm1(800)).toBe(800);
  expect(logExpm1(-1)).toBeNaN();
});
