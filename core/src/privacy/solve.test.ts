import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Accountant, PrivacyEvent } from "./privacy-event.js";
import { createRdpAccountant } from "./rdp-accountant.js";
import { epsilonFor, noiseMultiplierFor, stepsFor } from "./solve.js";

const sampled = (samplingRate: number, noiseMultiplier: number, count: number): PrivacyEvent[] => [
  { mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier }, count },
];
const united = createRdpAccountant();
/** Few orders: what a solver does with its accountant does not depend on how tight that is. */
const accountant = createRdpAccountant({ orders: [1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 1024] });
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

/** Epsilon as a formula of the only event's noise multiplier or count. */
const formula = (epsilonOf: (value: number) => number): ReturnType<typeof counting> =>
  counting({ name: "rdp", epsilon: ([event]) => ({ epsilon: epsilonOf(event!.count), warnings: [] }) });
/** An event that carries a number to a formula. */
const carrying = (value: number): PrivacyEvent[] => sampled(1, 1, value);

test("Opacus' noise multipliers for epsilon 8 lie within its tolerance, above ours", () => {
  // opacus/tests/accountants_test.py: found with a tolerance of 0.01 in epsilon, from above.
  const solve = (steps: number): number =>
    noiseMultiplierFor({ epsilon: 8, delta: 1e-5 }, (noise) => sampled(0.04, noise, steps), united);
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
          const counted = counting(united);
          const noise = noiseMultiplierFor(wanted, (z) => sampled(q, z, steps), counted);
          const epsilon = (z: number): number => united.epsilon(sampled(q, z, steps), wanted.delta).epsilon;
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

describe("how often the accountant is asked for a noise multiplier", () => {
  const delta = 1e-5;

  test("after the bracket three times where epsilon is a power of it", () => {
    // At 1, 2, 4, 8; then on either side of 2 / 0.3, and between.
    const power = formula((noise) => 2 / noise);
    const noise = noiseMultiplierFor({ epsilon: 0.3, delta }, carrying, power);
    expect(noise * 0.3).toBeGreaterThanOrEqual(2);
    expect(noise * 0.3).toBeLessThan(2 * (1 + 1e-4));
    expect(power.calls()).toBe(7);
  });

  test("as bisection asks where epsilon is a jump", () => {
    // ln 2 / 1e-4 is less than 2^13.
    const jump = formula((noise) => (noise < 5.3 ? Number.POSITIVE_INFINITY : 0));
    const noise = noiseMultiplierFor({ epsilon: 0.3, delta }, carrying, jump);
    expect(noise).toBeGreaterThanOrEqual(5.3);
    expect(noise).toBeLessThanOrEqual(5.3 * (1 + 1e-4));
    expect(jump.calls()).toBe(4 + 13);
  });

  test("at most twice as often where guesses lead astray", () => {
    for (const [above, below] of [
      [0.2999, 1e6],
      [1e-9, 0.3001],
    ] as const) {
      const step = formula((noise) => (noise < 5.3 ? below : above));
      const noise = noiseMultiplierFor({ epsilon: 0.3, delta }, carrying, step);
      expect(noise).toBeGreaterThanOrEqual(5.3);
      expect(noise).toBeLessThanOrEqual(5.3 * (1 + 1e-4));
      expect(step.calls()).toBeLessThanOrEqual(4 + 2 * 13);
    }
  });

  test("until nothing lies between where no tolerance is left", () => {
    for (const least of [0.1, 5.3, Math.PI]) {
      const jump = formula((noise) => (noise < least ? 1 : 0.1));
      expect(noiseMultiplierFor({ epsilon: 0.3, delta }, carrying, jump, { tolerance: 0 })).toBe(least);
      expect(jump.calls()).toBeLessThanOrEqual(4 + 2 * 53);
    }
  });

  test("no further than is sought", () => {
    const constant = formula(() => 1);
    const solve = (): number =>
      noiseMultiplierFor({ epsilon: 0.5, delta }, carrying, constant, { maxNoiseMultiplier: 64 });
    expect(solve).toThrow("no noise multiplier up to 64 reaches epsilon 0.5 at delta 0.00001; the last gave 1");
    expect(constant.calls()).toBe(7);
  });
});

test("an epsilon of exactly the target meets it", () => {
  expect(
    noiseMultiplierFor(
      { epsilon: 1, delta: 1e-5 },
      carrying,
      formula((noise) => 1 / noise),
    ),
  ).toBe(1);
  expect(
    stepsFor(
      { epsilon: 5, delta: 1e-5 },
      carrying,
      formula((steps) => steps),
    ),
  ).toBe(5);
  expect(
    stepsFor(
      { epsilon: 1, delta: 1e-5 },
      carrying,
      formula((steps) => steps),
    ),
  ).toBe(1);
});

describe("stepsFor", () => {
  test("after the bracket asks twice where epsilon is a power of the steps", () => {
    // At 1, 4, .. 4096; then on either side of the answer.
    for (const answer of [1234, 3333, 4000]) {
      const root = formula(Math.sqrt);
      expect(stepsFor({ epsilon: Math.sqrt(answer + 0.3), delta: 1e-5 }, carrying, root)).toBe(answer);
      expect(root.calls()).toBe(7 + 2);
    }
  });

  test("finds a jump of epsilon to the step", () => {
    for (const last of [1, 2, 3, 4, 5, 15, 16, 17, 999, 1000, 1025, 4095]) {
      const jump = formula((steps) => (steps <= last ? 0.999 : 1e9));
      expect(stepsFor({ epsilon: 1, delta: 1e-5 }, carrying, jump)).toBe(last);
      expect(jump.calls()).toBeLessThanOrEqual(7 + 2 * 12);
    }
  });

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
  expect(epsilonFor(1e-5, sampled(0.04, 1.5, 2250), united).epsilon).toBeCloseTo(7.3291111, 6);
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
