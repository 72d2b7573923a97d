import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exponentAt, lossAt } from "./subsampled-loss.js";

const golden = JSON.parse(
  readFileSync(new URL("../../../../testdata/privacy/losses.json", import.meta.url), "utf8"),
) as {
  losses: { outcome: number; samplingRate: number; noiseMultiplier: number; loss: number }[];
  exponents: { loss: number; samplingRate: number; exponent: number }[];
};

const expectNear = (actual: number, expected: number, tolerance: number): void =>
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(tolerance);

describe("the loss at an outcome", () => {
  test.each(golden.losses)(
    "$outcome: rate $samplingRate, noise $noiseMultiplier",
    ({ outcome, loss, ...mechanism }) => {
      const actual = lossAt(outcome, mechanism);
      expectNear(actual, loss, 4 * Number.EPSILON * Math.max(1, Math.abs(loss)));
      // Where it is about to change its sign it has digits of its own, however small the sampling rate.
      if (outcome > -0.5 && outcome < 0.5) expectNear(actual, loss, 1e-14 * Math.abs(loss));
    },
  );
  test("without subsampling it is the exponent, however low", () => {
    expect(lossAt(-999.5, { samplingRate: 1, noiseMultiplier: 1 })).toBe(-1000);
  });
  test("where both densities are equal it is 0", () => {
    expect(lossAt(0.5, { samplingRate: 0.3, noiseMultiplier: 2 })).toBe(0);
  });
});

describe("the exponent at a loss keeps its digits", () => {
  test.each(golden.exponents)("$loss: rate $samplingRate", ({ loss, samplingRate, exponent }) =>
    expectNear(exponentAt(loss, samplingRate), exponent, 1e-14 * Math.abs(exponent)),
  );
  test("without subsampling it is the loss, however low", () => {
    for (const loss of [-800, -3, 0.7, 7]) expect(exponentAt(loss, 1)).toBe(loss);
  });
  test("no outcome has a loss of ln(1 - q) or less", () => {
    for (const [loss, q] of [
      [Math.log(0.7) - 1e-9, 0.3],
      [-5, 0.3],
      [Math.log(0.2) - 1e-9, 0.8],
      [-40, 0.8],
    ] as const)
      expect(exponentAt(loss, q)).toBe(Number.NEGATIVE_INFINITY);
  });
});

test("the exponent at an outcome's loss is the outcome's", () => {
  fc.assert(
    fc.property(
      fc.double({ min: -5, max: 0, noNaN: true }),
      fc.double({ min: 0.3, max: 8, noNaN: true }),
      fc.double({ min: -30, max: 30, noNaN: true }),
      (logRate, noiseMultiplier, z) => {
        const samplingRate = 10 ** logRate;
        const x = noiseMultiplier * z;
        const loss = lossAt(x, { samplingRate, noiseMultiplier });
        expect(loss).toBeGreaterThanOrEqual(Math.log1p(-samplingRate));
        const u = (2 * x - 1) / (2 * noiseMultiplier ** 2);
        // Where the loss is flat its inverse has no digits.
        if (samplingRate * Math.exp(u) > 1e-3) expect(exponentAt(loss, samplingRate)).toBeCloseTo(u, 8);
      },
    ),
  );
});
