import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { normalCdf } from "../../math/normal.js";
import { outcomeTails } from "./outcome-tails.js";
import type { LossDirection } from "./subsampled-loss.js";

const direction = fc.constantFrom<LossDirection>("remove", "add");
const samplingRate = fc.double({ min: 0.001, max: 1, noNaN: true });
const noiseMultiplier = fc.double({ min: 0.1, max: 8, noNaN: true });

describe("outcomes beyond a point", () => {
  test("to add a unit are normal around 0, to remove one a mixture with outcomes around 1", () => {
    const mechanism = { samplingRate: 0.25, noiseMultiplier: 0.5 };
    const add = outcomeTails(mechanism, "add");
    const remove = outcomeTails(mechanism, "remove");
    for (const z of [-9, -1, 0.3, 4]) {
      expect(add.below(z)).toBeCloseTo(normalCdf(z), 15);
      expect(add.above(z)).toBeCloseTo(normalCdf(-z), 15);
      // In standard deviations a unit is 2.
      expect(remove.below(z)).toBeCloseTo(0.75 * normalCdf(z) + 0.25 * normalCdf(z - 2), 15);
      expect(remove.above(z)).toBeCloseTo(0.75 * normalCdf(-z) + 0.25 * normalCdf(2 - z), 15);
    }
  });

  test("are all that are not below it", () => {
    fc.assert(
      fc.property(
        samplingRate,
        noiseMultiplier,
        direction,
        fc.double({ min: -9, max: 9, noNaN: true }),
        (q, s, way, z) => {
          const tails = outcomeTails({ samplingRate: q, noiseMultiplier: s }, way);
          expect(tails.below(z) + tails.above(z)).toBeCloseTo(1, 13);
        },
      ),
    );
  });
});

describe("the point beyond which a mass lies", () => {
  test("has about that mass beyond it, never more", () => {
    fc.assert(
      fc.property(
        samplingRate,
        noiseMultiplier,
        direction,
        fc.double({ min: -250, max: -0.5, noNaN: true }),
        (q, s, way, log) => {
          const mass = 10 ** log;
          const tails = outcomeTails({ samplingRate: q, noiseMultiplier: s }, way);
          for (const tail of [tails.below(tails.quantileBelow(mass)), tails.above(tails.quantileAbove(mass))]) {
            expect(tail).toBeLessThanOrEqual(mass);
            expect(tail).toBeGreaterThan(mass * (1 - 1e-6));
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test("is found for outcomes many standard deviations away", () => {
    const tails = outcomeTails({ samplingRate: 1, noiseMultiplier: 0.01 }, "remove");
    // Of 0.0013498980316300946 the quantile is -3.
    expect(tails.quantileBelow(0.0013498980316300946)).toBeCloseTo(100 - 3, 8);
    expect(tails.quantileAbove(0.0013498980316300946)).toBeCloseTo(100 + 3, 8);
  });
});
