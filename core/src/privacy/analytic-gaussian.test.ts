import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { relativeError } from "../testing/relative-error.js";
import { gaussianDelta, gaussianEpsilon, gaussianNoiseMultiplier } from "./analytic-gaussian.js";

const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/privacy/gaussian.json", import.meta.url), "utf8"),
) as { rows: { noiseMultiplier: number; delta: number; epsilon: number }[] };

describe("against mpmath", () => {
  test.each(golden.rows)("noise $noiseMultiplier, delta $delta, both ways", ({ noiseMultiplier, delta, epsilon }) => {
    expect(relativeError(gaussianEpsilon(noiseMultiplier, delta), epsilon)).toBeLessThan(1e-11);
    expect(relativeError(gaussianNoiseMultiplier(epsilon, delta), noiseMultiplier)).toBeLessThan(1e-11);
    expect(relativeError(gaussianDelta(epsilon, noiseMultiplier), delta)).toBeLessThan(1e-10);
  });
});

test.each([
  [1e-6, 4.2246789],
  [1e-5, 3.7306316],
])("the noise for epsilon 1 at delta %d", (delta, noiseMultiplier) => {
  expect(gaussianNoiseMultiplier(1, delta)).toBeCloseTo(noiseMultiplier, 6);
});

test("what is solved meets its target", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.01, max: 50, noNaN: true }),
      fc.double({ min: 1e-12, max: 0.5, noNaN: true }),
      (epsilon, delta) => {
        const noise = gaussianNoiseMultiplier(epsilon, delta);
        expect(gaussianDelta(epsilon, noise)).toBeLessThanOrEqual(delta * (1 + 1e-14));
        expect(gaussianDelta(gaussianEpsilon(noise, delta), noise)).toBeLessThanOrEqual(delta * (1 + 1e-14));
        expect(relativeError(gaussianEpsilon(noise, delta), epsilon)).toBeLessThan(1e-9);
      },
    ),
  );
});

test.each([1e17, 1e100, 1e300])("epsilon %d needs hardly any noise, which is found", (epsilon) => {
  // Far out the loss is its mean, 1 / (2 sigma^2).
  expect(relativeError(gaussianNoiseMultiplier(epsilon, 1e-5), Math.sqrt(0.5 / epsilon))).toBeLessThan(1e-6);
});

test("the edges", () => {
  expect(gaussianEpsilon(0, 1e-5)).toBe(Number.POSITIVE_INFINITY);
  expect(gaussianEpsilon(1e-200, 1e-5)).toBe(Number.POSITIVE_INFINITY);
  expect(gaussianEpsilon(Number.POSITIVE_INFINITY, 1e-5)).toBe(0);
  expect(gaussianEpsilon(1, 0.5)).toBe(0);
  expect(() => gaussianEpsilon(-1, 1e-5)).toThrow("noise multiplier -1");
  expect(() => gaussianEpsilon(Number.NaN, 1e-5)).toThrow("noise multiplier NaN");
  expect(() => gaussianEpsilon(1, 1)).toThrow("delta 1");
  expect(() => gaussianNoiseMultiplier(0, 1e-5)).toThrow("epsilon 0");
  expect(() => gaussianNoiseMultiplier(Number.POSITIVE_INFINITY, 1e-5)).toThrow("epsilon Infinity");
  expect(() => gaussianNoiseMultiplier(1, 0)).toThrow("delta 0");
});
