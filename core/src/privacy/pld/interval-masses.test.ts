import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { normalInterval } from "../../math/normal.js";
import { intervalMasses } from "./interval-masses.js";
import { exponentAt } from "./subsampled-loss.js";
import type { LossDirection } from "./subsampled-loss.js";

/** The masses of the outcomes whose ln (P / Q) lies in the interval, from distribution functions. */
function exact(q: number, sigma: number, low: number, step: number): { readonly p: number; readonly q: number } {
  const z0 = sigma * exponentAt(low, q) + 0.5 / sigma;
  const z1 = sigma * exponentAt(low + step, q) + 0.5 / sigma;
  const around0 = normalInterval(z0, z1);
  return { p: (1 - q) * around0 + q * normalInterval(z0 - 1 / sigma, z1 - 1 / sigma), q: around0 };
}

const split = (q: number, sigma: number, direction: LossDirection, low: number, step: number): [number, number] =>
  intervalMasses({ samplingRate: q, noiseMultiplier: sigma }, direction, {
    low,
    step,
    u0: exponentAt(low, q),
    u1: exponentAt(low + step, q),
  });

describe("an interval's mass is split between its ends, kept under both distributions", () => {
  const check = (q: number, sigma: number, low: number, step: number): void => {
    const mass = exact(q, sigma, low, step);
    const [removeLow, removeHigh] = split(q, sigma, "remove", low, step);
    expect(removeLow + removeHigh).toBeCloseTo(mass.p, 12);
    expect(removeLow * Math.exp(-low) + removeHigh * Math.exp(-low - step)).toBeCloseTo(mass.q, 12);
    // To add, the loss changes its sign and the distributions their places.
    const [addLow, addHigh] = split(q, sigma, "add", low, step);
    expect(addLow + addHigh).toBeCloseTo(mass.q, 12);
    expect(addLow * Math.exp(low) + addHigh * Math.exp(low + step)).toBeCloseTo(mass.p, 12);
    for (const end of [removeLow, removeHigh, addLow, addHigh]) expect(end).toBeGreaterThanOrEqual(0);
  };

  test("anywhere", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        fc.double({ min: 0.3, max: 9, noNaN: true }),
        fc.double({ min: 0, max: 4, noNaN: true }),
        fc.double({ min: 0.01, max: 0.8, noNaN: true }),
        (q, sigma, above, step) => check(q, sigma, Math.log1p(-Math.min(q, 0.95)) + above, step),
      ),
      { numRuns: 60 },
    );
  });

  test("where the loss has its lower end inside the interval", () => {
    check(0.2, 1, Math.log(0.8) - 0.03, 0.1);
    check(0.01, 0.7, -0.02, 0.02);
    check(0.5, 3, Math.log(0.5) - 0.01, 0.5);
  });

  test("below the least loss there is nothing", () => {
    expect(split(0.2, 1, "remove", -5, 0.1)).toEqual([0, 0]);
    expect(split(0.2, 1, "add", -5, 0.1)).toEqual([0, 0]);
  });
});

const golden = JSON.parse(
  readFileSync(new URL("../../../../testdata/privacy/losses.json", import.meta.url), "utf8"),
) as {
  intervals: {
    samplingRate: number;
    noiseMultiplier: number;
    low: number;
    step: number;
    remove: [number, number];
    add: [number, number];
  }[];
};

describe("integrated with many digits", () => {
  test.each(golden.intervals)(
    "rate $samplingRate, noise $noiseMultiplier, losses from $low by $step",
    ({ samplingRate, noiseMultiplier, low, step, ...expected }) => {
      for (const direction of ["remove", "add"] as const) {
        const actual = split(samplingRate, noiseMultiplier, direction, low, step);
        for (const end of [0, 1] as const) {
          const mass = expected[direction][end];
          // However far out: a part of delta counts, not of 1.
          expect(Math.abs(actual[end] / mass - 1)).toBeLessThan(mass > 1e-6 ? 1e-13 : 5e-12);
        }
      }
    },
  );
});
