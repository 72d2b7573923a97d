import fc from "fast-check";
import { expect, test } from "vitest";
import { expOfMinus, naturalLog } from "./elementary.js";

/** Relative distance in units of 2^-52. */
const ulps = (got: number, wanted: number): number => Math.abs(got - wanted) / (Math.abs(wanted) * 2 ** -52);

test("e^-t is that of the platform to two last bits", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 20, noNaN: true }), (t) => {
      expect(ulps(expOfMinus(t), Math.exp(-t))).toBeLessThanOrEqual(2);
    }),
  );
  expect(expOfMinus(0)).toBe(1);
});

test("ln x is that of the platform to two last bits, or to 2^-52 near 1", () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => {
      expect(Math.abs(naturalLog(x) - Math.log(x))).toBeLessThanOrEqual(2 ** -51 * Math.max(1, Math.abs(Math.log(x))));
    }),
  );
  expect(naturalLog(1)).toBe(0);
});
