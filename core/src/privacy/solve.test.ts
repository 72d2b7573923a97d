import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Accountant, PrivacyEvent } from "./privacy-event.js";
import { createRdpAccountant } from "./rdp-accountant.js";
import { epsilonFor, noiseMultiplierFor, stepsFor } from "./solve.js";

const sampled = (samplingRate: number, noiseMultiplier: number, count: number): PrivacyEvent[] => [
  { mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier }, count },
];
const accountant = createRdpAccountant();
/** An accountant that counts how often it is asked. */
function counting(inner: Accountant): Accountant & { readonly calls: () => number } {
  let calls = 0;
  return {
    name: inner.name,
    calls: () => calls,
    epsilon: (events, delta) => {
      calls += 1;
      return inner.epsilon(events, delta);
    },
  };
}

test("Opacus' noise multipliers for epsilon 8 lie within its tolerance, above ours", () => {
  // opacus/tests/accountants_test.py: found with a tolerance of 0.01 in epsilon, from above.
  const solve = (steps: number): number =>
    noiseMultiplierFor({ epsilon: 8, delta: 1e-5 }, (noise) => sampled(0.04, noise, steps), accountant);
  expect(solve(2250)).toBeGreaterThan(1.415);
  expect(solve(2250)).toBeLessThanOrEqual(1.416015625);
  expect(solve(2000)).toBeCloseTo(1.3562, 2);
});

describe("noiseMultiplierFor", () => {
  const target = fc.record({
    epsilon: fc.double({ min: 0.05, max: 30, noNaN: true }),
    delta: fc.double({ min: 1e-9, max: 1e-2, noNaN: true }),
  });

  test("what it returns meets the target, a little less does not, and it asks seldom", () => {
    fc.assert(
      fc.property(
        target,
        fc.double({ min: 1e-4, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 10_000 }),
        (wanted, q, steps) => {
          const counted = counting(accountant);
          const noise = noiseMultiplierFor(wanted, (z) => sampled(q, z, steps), counted);
          const epsilon = (z: number): number => accountant.epsilon(sampled(q, z, steps), wanted.delta).epsilon;
          expect(epsilon(noise)).toBeLessThanOrEqual(wanted.epsilon);
          expect(epsilon(noise / 1.00011)).toBeGreaterThan(wanted.epsilon);
          expect(counted.calls()).toBeLessThan(30);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("the tolerance decides how near", () => {
    const solve = (tolerance: number): number =>
      noiseMultiplierFor({ epsilon: 2, delta: 1e-5 }, (z) => sampled(0.01, z, 1000), accountant, { tolerance });
    const exact = solve(1e-9);
    expect(solve(1e-2) / exact).toBeLessThanOrEqual(1.01);
    expect(solve(1e-2)).toBeGreaterThanOrEqual(exact);
  });

  test("another release that spends too much makes it unreachable", () => {
    const solve = (): number =>
      noiseMultiplierFor(
        { epsilon: 1, delta: 1e-5 },
        (z) => [...sampled(0.01, z, 10), { mechanism: { kind: "gaussian", noiseMultiplier: 0.1 }, count: 1 }],
        accountant,
      );
    expect(solve).toThrow("no noise multiplier up to 1048576 reaches epsilon 1 at delta 0.00001; the last gave");
    expect(solve).toThrow(expect.objectContaining({ code: "privacy-unbounded" }));
  });

  test("where no noise is needed it is as small as is sought", () => {
    expect(noiseMultiplierFor({ epsilon: 1, delta: 1e-5 }, () => [], accountant)).toBe(2 ** -20);
  });
});

describe("stepsFor", () => {
  test("the answer meets the target and one step more does not", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 20, noNaN: true }),
        fc.double({ min: 1e-3, max: 0.2, noNaN: true }),
        fc.double({ min: 0.6, max: 5, noNaN: true }),
        (epsilon, q, noise) => {
          const spent = (steps: number): number => accountant.epsilon(sampled(q, noise, steps), 1e-5).epsilon;
          const steps = stepsFor({ epsilon, delta: 1e-5 }, (count) => sampled(q, noise, count), accountant);
          if (steps > 0) expect(spent(steps)).toBeLessThanOrEqual(epsilon);
          expect(spent(steps + 1)).toBeGreaterThan(epsilon);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("none, one, and as many as are asked for", () => {
    const steps = (epsilon: number, noise: number, maxSteps?: number): number =>
      stepsFor({ epsilon, delta: 1e-5 }, (count) => sampled(1, noise, count), accountant, maxSteps);
    expect(steps(0.1, 1)).toBe(0);
    expect(steps(5, 1)).toBe(1);
    expect(steps(5, 100, 37)).toBe(37);
    expect(steps(1e-3, 2 ** 40)).toBe(2 ** 30);
  });
});

test("epsilonFor is what the accountant says", () => {
  expect(epsilonFor(1e-5, sampled(0.04, 1.5, 2250), accountant).epsilon).toBeCloseTo(7.3291111, 6);
});

test.each([
  [{ epsilon: 0, delta: 1e-5 }, "epsilon 0 must be above 0 and finite"],
  [{ epsilon: Number.POSITIVE_INFINITY, delta: 1e-5 }, "epsilon Infinity must be above 0 and finite"],
  [{ epsilon: Number.NaN, delta: 1e-5 }, "epsilon NaN"],
  [{ epsilon: 1, delta: 1 }, "delta 1 must be above 0 and below 1"],
])("the target %j is refused", (target, message) => {
  expect(() => noiseMultiplierFor(target, () => [], accountant)).toThrow(message);
  expect(() => stepsFor(target, () => [], accountant)).toThrow(message);
});
