import fc from "fast-check";
import { expect, test } from "vitest";
import { nearestFloat32 } from "./float32.js";
import { meanInFloat64 } from "./mean-in-float64.js";

const scale = 2 ** 298;
const units = (value: number): bigint => BigInt(value * scale);
/** The same by integers. */
function oracle(parts: readonly number[], base: number, total: number): number {
  const sum = parts.reduce((value, part) => value + units(part), 0n);
  return sum === 0n ? base : nearestFloat32(units(base) * units(total) + sum * units(1), units(total) * units(1));
}
const tolerance = 2 ** -47;

test("what it decides is the nearest float32", () => {
  const part = fc.oneof(
    fc.float({ noNaN: true, noDefaultInfinity: true }),
    fc.integer({ min: -(2 ** 30), max: 2 ** 30 }).map((i) => i * 2 ** -40),
    fc.constantFrom(0, -0, 2 ** -149, 2 ** -80, -(2 ** -79), 3.4028234663852886e38),
  );
  const total = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 2 ** 40 }));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 3 }), part.map(Math.fround), total, (parts, base, weight) => {
      const mean = meanInFloat64(parts, base, weight, tolerance);
      if (mean !== undefined) expect(mean).toBe(oracle(parts, base, weight));
    }),
    { numRuns: 3000 },
  );
});

test("half-way between two float32 values, and next to it, it decides", () => {
  const odd = fc.integer({ min: 2 ** 23, max: 2 ** 24 - 2 });
  const weight = fc.integer({ min: 1, max: 1000 });
  // Smaller than what float64 can tell beside the sum, but not beside nothing.
  const beside = fc.constantFrom(0, 2 ** -40, -(2 ** -40), 2 ** -70, -(2 ** -70));
  const sign = fc.constantFrom(1, -1);
  fc.assert(
    fc.property(odd, weight, beside, sign, fc.integer({ min: 0, max: 2 ** 20 }), (k, total, tiny, side, base) => {
      const parts = [tiny, side * (k + 0.5 - base) * total];
      const mean = meanInFloat64(parts, side * base, total, tolerance);
      const neighbours = side > 0 ? [k, k + 1] : [-k - 1, -k];
      const even = side * (k % 2 === 0 ? k : k + 1);
      expect(mean).toBe(tiny === 0 ? even : neighbours[tiny < 0 ? 0 : 1]);
    }),
    { numRuns: 2000 },
  );
});

test("it leaves to integers what float64 cannot decide", () => {
  // Beyond the last float32, around zero, too many parts, and a sum whose parts nearly cancel.
  expect(meanInFloat64([3.4028235677973366e38], 0, 1, tolerance)).toBeUndefined();
  expect(meanInFloat64([2 ** -200], 0, 1, tolerance)).toBeUndefined();
  expect(meanInFloat64([1, 1, 1], 0, 1, tolerance)).toBeUndefined();
  expect(meanInFloat64([1e-20, 1], -1, 1, tolerance)).toBeUndefined();
});
