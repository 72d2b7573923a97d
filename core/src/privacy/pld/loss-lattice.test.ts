import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { normalCdf } from "../../math/normal.js";
import type { LatticeMasses } from "./lattice-masses.js";
import { discretizeLoss } from "./loss-lattice.js";
import { exponentAt } from "./subsampled-loss.js";
import type { LossDirection, SubsampledGaussian } from "./subsampled-loss.js";

/** The least delta of one release, from the distribution functions at the outcome whose loss is epsilon. */
function exactDelta(
  epsilon: number,
  { samplingRate: q, noiseMultiplier: sigma }: SubsampledGaussian,
  direction: LossDirection,
): number {
  const sign = direction === "remove" ? 1 : -1;
  const u = exponentAt(sign * epsilon, q);
  if (u === Number.NEGATIVE_INFINITY) return direction === "remove" ? 1 - Math.exp(epsilon) : 0;
  const z = sign * (sigma * u + 0.5 / sigma);
  const around0 = normalCdf(-z);
  const around1 = normalCdf(-(z - sign / sigma));
  const p = (1 - q) * around0 + q * around1;
  return direction === "remove" ? p - Math.exp(epsilon) * around0 : around0 - Math.exp(epsilon) * p;
}

function hockeyStick({ masses, first, offset }: LatticeMasses, step: number, epsilon: number): number {
  let sum = 0;
  masses.forEach((mass, i) => {
    const loss = (first + i) * step + offset;
    if (loss > epsilon) sum += mass * -Math.expm1(epsilon - loss);
  });
  return sum;
}

const mechanism = fc.record({
  samplingRate: fc.oneof(
    fc.constant(1),
    fc.double({ min: -5, max: 0, noNaN: true }).map((power) => 10 ** power),
  ),
  noiseMultiplier: fc.double({ min: 0.3, max: 8, noNaN: true }),
});
const direction = fc.constantFrom<LossDirection>("remove", "add");

describe("one release against its exact divergences", () => {
  test("the upper side is never below and the lower never above, and both are near", () => {
    fc.assert(
      fc.property(
        mechanism,
        direction,
        fc.double({ min: -3, max: -0.3, noNaN: true }),
        fc.double({ min: -1.5, max: 4, noNaN: true }),
        (settings, way, logStep, epsilon) => {
          const step = 10 ** logStep;
          const lattice = discretizeLoss(settings, way, step, 1e-18);
          const exact = exactDelta(epsilon, settings, way);
          const upper = hockeyStick(lattice!.upper, step, epsilon) + lattice!.infinite;
          const lower = hockeyStick(lattice!.lower, step, epsilon);
          expect(upper).toBeGreaterThanOrEqual(exact - 1e-13);
          expect(lower).toBeLessThanOrEqual(exact + 1e-13);
          // No mass moves by more than two steps.
          const shifted = (by: number): number => exactDelta(epsilon + by, settings, way);
          expect(upper).toBeLessThanOrEqual(shifted(-step) + 1e-12);
          expect(lower).toBeGreaterThanOrEqual(shifted(2 * step) - 1e-12);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("the upper side keeps the mass of both distributions", () => {
    fc.assert(
      fc.property(mechanism, direction, (settings, way) => {
        const step = 0.1;
        const { upper, infinite } = discretizeLoss(settings, way, step, 1e-18)!;
        const own = upper.masses.reduce((sum, mass) => sum + mass, infinite);
        const other = upper.masses.reduce((sum, mass, i) => sum + mass * Math.exp(-(upper.first + i) * step), 0);
        expect(Math.abs(own - 1)).toBeLessThan(1e-12);
        // What sits at an infinite loss has, of the other distribution, what the tail that was cut off had.
        expect(other).toBeLessThan(1 + 1e-12);
        expect(other).toBeGreaterThan(1 - 1e-6);
      }),
      { numRuns: 10 },
    );
  });

  test("halving the step quarters the error", () => {
    for (const way of ["remove", "add"] as const) {
      const settings = { samplingRate: 0.1, noiseMultiplier: 1 };
      const errors = [0.01, 0.005, 0.0025].map((step) => {
        const { upper, lower } = discretizeLoss(settings, way, step, 1e-18)!;
        // A mean over points of the cell, since each point by itself lies anywhere between two lattice points.
        const points = Array.from({ length: 16 }, (_, i) => 0.03 + (step * i) / 16);
        const mean = (side: LatticeMasses): number =>
          points.reduce((sum, point) => sum + hockeyStick(side, step, point) - exactDelta(point, settings, way), 0) /
          16;
        return [mean(upper), mean(lower)] as const;
      });
      for (const i of [0, 1]) {
        expect(errors[i]![0] / errors[i + 1]![0]).toBeGreaterThan(3.5);
        expect(errors[i]![1] / errors[i + 1]![1]).toBeGreaterThan(2.5);
      }
    }
  });

  test("losses too large to tabulate are refused", () => {
    expect(discretizeLoss({ samplingRate: 0.1, noiseMultiplier: 1e-4 }, "remove", 1e-3, 1e-18)).toBeUndefined();
    expect(discretizeLoss({ samplingRate: 0.1, noiseMultiplier: 1 }, "remove", 1e-9, 1e-18)).toBeUndefined();
    // Few intervals, of which each would be integrated in many pieces: 18.5 / sigma in all, 0.05 each, more than 2^22.
    expect(discretizeLoss({ samplingRate: 1, noiseMultiplier: 8.6e-5 }, "add", 500, 1e-18)).toBeUndefined();
  });

  test("steps whose exponential overflows are refused", () => {
    expect(discretizeLoss({ samplingRate: 1, noiseMultiplier: 0.05 }, "remove", 800, 1e-18)).toBeUndefined();
  });

  test.each(["remove", "add"] as const)("%s: of the tails, the given mass at most is cut off", (way) => {
    // Without subsampling both losses are normal with mean 1/2 and variance 1: -2.5 and 3.5 are 3 standard deviations away.
    const step = 0.2;
    const beyond = normalCdf(-3.1);
    const { upper, lower, infinite } = discretizeLoss(
      { samplingRate: 1, noiseMultiplier: 1 },
      way,
      step,
      0.0013498980316300946,
    )!;
    const total = ({ masses }: LatticeMasses): number => masses.reduce((sum, mass) => sum + mass, 0);
    // From -2.6 to 3.6; above that the loss counts as infinite, below it as -2.6 or not at all.
    expect([upper.first, upper.masses.length]).toEqual([-13, 32]);
    expect([lower.first, lower.masses.length]).toEqual([-14, 32]);
    expect(infinite).toBeCloseTo(beyond, 15);
    expect(total(upper)).toBeCloseTo(1 - beyond, 13);
    expect(total(lower)).toBeCloseTo(1 - 2 * beyond, 13);
    for (const epsilon of [-2.5, 0, 2, 3.5]) {
      const exact = exactDelta(epsilon, { samplingRate: 1, noiseMultiplier: 1 }, way);
      expect(hockeyStick(upper, step, epsilon) + infinite).toBeGreaterThanOrEqual(exact);
      expect(hockeyStick(lower, step, epsilon)).toBeLessThanOrEqual(exact);
    }
  });
});
