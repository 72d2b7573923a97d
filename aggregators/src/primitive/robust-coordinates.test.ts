import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { coordinateMedian, meanAroundMedian, trimmedMean } from "./robust-coordinates.js";

const sample = [10, 0.1, 0.3, 0, 0.25];
const of = (rule: (values: Float64Array) => number, values: readonly number[]): number =>
  rule(Float64Array.from(values));
const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });

describe("rules on one coordinate", () => {
  test("G32: give the golden values", () => {
    expect(of(trimmedMean(0.2), sample)).toBeCloseTo(0.2166666667, 9);
    expect(of(coordinateMedian, sample)).toBe(0.25);
    expect(of(trimmedMean(0), sample)).toBeCloseTo(10.65 / 5, 12);
    expect(of(coordinateMedian, [4, 1, 3, 2])).toBe(2.5);
    expect(of(meanAroundMedian(3), sample)).toBeCloseTo((0.1 + 0.25 + 0.3) / 3, 12);
    expect(of(meanAroundMedian(1), [3, 1, 2])).toBe(2);
    // 29 of 100 at either end leave 30 to 71.
    const hundred = Array.from({ length: 100 }, (_, i) => (i < 29 ? -1e9 : i + 1));
    expect(of(trimmedMean(0.29), hundred)).toBe(50.5);
    // Both ends are as far from the median: the lower one stays.
    expect(of(meanAroundMedian(2), [1, 2, 3])).toBe(1.5);
  });

  test("stay within the range of the honest values while the others are fewer than what is dropped", () => {
    const colluding = fc.tuple(
      fc.array(finite, { minLength: 5, maxLength: 12 }),
      fc.array(fc.double({ min: -1e300, max: 1e300, noNaN: true }), { minLength: 1, maxLength: 2 }),
    );
    fc.assert(
      fc.property(colluding, ([honest, hostile]) => {
        const n = honest.length + hostile.length;
        const rules = [trimmedMean((hostile.length + 0.5) / n), coordinateMedian];
        const tolerance = 1e-9 * Math.max(1, ...honest.map(Math.abs));
        for (const rule of rules) {
          const result = of(rule, [...hostile, ...honest]);
          expect(result).toBeGreaterThanOrEqual(Math.min(...honest) - tolerance);
          expect(result).toBeLessThanOrEqual(Math.max(...honest) + tolerance);
        }
      }),
    );
  });

  test("do not depend on the order, in any bit", () => {
    const shuffled = fc
      .array(finite, { minLength: 1, maxLength: 9 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        for (const rule of [trimmedMean(0.3), coordinateMedian, meanAroundMedian(Math.ceil(list.length / 2))]) {
          expect(of(rule, other)).toBe(of(rule, list));
        }
      }),
    );
  });

  test("agree on equal values", () => {
    for (const rule of [trimmedMean(0.4), coordinateMedian, meanAroundMedian(2)])
      expect(of(rule, [3, 3, 3, 3])).toBe(3);
  });
});
