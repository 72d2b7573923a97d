import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PrivacyEvent } from "./privacy-event.js";
import { createRdpAccountant, rdpToEpsilon } from "./rdp-accountant.js";

const events = (samplingRate: number, noiseMultiplier: number, count: number): PrivacyEvent[] => [
  { mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier }, count },
];
const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe("figures of other libraries", () => {
  test.each([
    // Opacus, opacus/tests/accountants_test.py.
    ["opacus", 0.04, 1.5, 2250, 1e-5, 7.32911117143, 1e-9],
    // TF Privacy, compute_dp_sgd_privacy_test.py: n, batch and epochs as rate and steps.
    ["tf-privacy", 150 / 60000, 1.3, 6000, 1e-5, 0.7242234026109595, 1e-9],
    ["tf-privacy", 100 / 100000, 1, 30000, 1e-7, 1.4154988495444845, 1e-9],
    ["tf-privacy", 1024 / 1e8, 0.1, 976563, 1e-7, 5907982.31138195, 1e-3],
    ["dp-accounting", 1, 0.7, 2, 1e-5, 10.8602036, 1e-7],
    // Its fractional orders are sums of magnitudes, 3.2392676 there; the signed series gives this.
    ["dp-accounting", 0.01, 0.7, 120, 1e-5, 3.2391922, 1e-7],
    ["dp-accounting", 1, 0.35, 2, 1e-5, 26.2880374, 1e-7],
    // Likewise 22.6248601 there.
    ["dp-accounting", 0.01, 0.35, 120, 1e-5, 22.5970358, 1e-7],
    // Computed with 50-digit arithmetic on dp-accounting's grid.
    ["dp-accounting", 0.1, 1, 100, 1e-3, 5.6405208, 1e-7],
    ["dp-accounting", 0.01, 1, 1000, 1e-5, 2.1013653, 1e-7],
    ["dp-accounting", 0.02, 0.8, 500, 1e-5, 5.3701379, 1e-7],
    ["dp-accounting", 1, 1, 1, 1e-5, 4.7285071, 1e-7],
    ["dp-accounting", 1, 5, 10, 1e-5, 2.8136532, 1e-7],
    ["dp-accounting", 0.05, 0.8, 100, 1e-6, 7.662756, 1e-6],
    ["dp-accounting", 0.05, 1.5, 100, 1e-6, 2.154185, 1e-6],
    ["dp-accounting", 0.2, 3, 100, 1e-6, 3.639665, 1e-6],
    ["dp-accounting", 0.001, 0.8, 100, 1e-6, 1.371067, 1e-6],
    ["dp-accounting", 0.05, 3, 20000, 1e-6, 14.815202, 1e-6],
    ["dp-accounting", 0.001, 1.5, 50000, 1e-6, 0.750579, 1e-6],
  ] as const)("%s: rate %d, noise %d, %d steps", (orders, q, sigma, steps, delta, epsilon, tolerance) => {
    const bound = createRdpAccountant({ orders }).epsilon(events(q, sigma, steps), delta);
    expect(Math.abs(bound.epsilon - epsilon)).toBeLessThanOrEqual(tolerance);
  });

  test("a constant divergence (dp-accounting, rdp_privacy_accountant_test.py)", () => {
    const orders = range(2, 32);
    const { epsilon, order } = rdpToEpsilon(orders, orders.map(() => 1.1), 1e-5); // prettier-ignore
    expect(epsilon).toBeCloseTo(1.32783806176, 10);
    expect(order).toBe(32);
  });

  test("mechanisms of several settings (Opacus' docstring)", () => {
    const bound = createRdpAccountant({ orders: range(2, 32) }).epsilon(
      [...events(1e-5, 1, 10), ...events(1e-4, 3, 4)],
      1e-5,
    );
    expect(bound.epsilon).toBeCloseTo(0.336, 3);
    expect(bound.warnings).toEqual([]);
  });

  test("the noise that Renyi accounting needs for epsilon 1", () => {
    const bound = createRdpAccountant().epsilon(
      [{ mechanism: { kind: "gaussian", noiseMultiplier: 4.530877117 }, count: 1 }],
      1e-6,
    );
    expect(bound.epsilon).toBeCloseTo(1, 6);
  });
});

describe("what cannot be bounded is infinite", () => {
  test("an unbounded release, with its reason", () => {
    const bound = createRdpAccountant().epsilon(
      [...events(0.1, 1, 1), { mechanism: { kind: "unbounded", reason: "weights without a cap" }, count: 1 }],
      1e-5,
    );
    expect(bound).toEqual({ epsilon: Number.POSITIVE_INFINITY, warnings: ["weights without a cap"] });
  });
  test("a release without noise", () => {
    expect(createRdpAccountant().epsilon(events(0.1, 0, 1), 1e-5)).toEqual({
      epsilon: Number.POSITIVE_INFINITY,
      warnings: ["a release without noise"],
    });
  });
  test.each([Number.NaN, -1e-300, Number.NEGATIVE_INFINITY])("a divergence of %d", (divergence) => {
    expect(rdpToEpsilon([2], [divergence], 1e-5)).toEqual({
      epsilon: Number.POSITIVE_INFINITY,
      order: Number.NaN,
      warnings: [
        `the Renyi divergence of order 2 came out as ${divergence}; the order is left out`,
        "no order gives a finite epsilon",
      ],
    });
    expect(rdpToEpsilon([2, 3], [divergence, 1], 1e-5).epsilon).toBe(rdpToEpsilon([3], [1], 1e-5).epsilon);
  });
  test("a divergence that is missing", () => {
    expect(rdpToEpsilon([2, 3], [1], 1e-5).warnings[0]).toContain("order 3 came out as NaN");
  });
});

test("no events, or none in which anybody takes part, spend nothing", () => {
  expect(createRdpAccountant().epsilon([], 1e-5)).toEqual({ epsilon: 0, warnings: [] });
  expect(createRdpAccountant().epsilon(events(0, 0, 7), 1e-5)).toEqual({ epsilon: 0, warnings: [] });
});

test("an optimum at either edge of the grid is said", () => {
  const warning = (orders: number[]): readonly string[] =>
    createRdpAccountant({ orders }).epsilon(events(0.04, 1.5, 2250), 1e-5).warnings;
  expect(warning([3.9, 8, 9])[0]).toBe(
    "the best order, 3.9, is at the edge of the grid; a wider one may give a smaller epsilon",
  );
  expect(warning([2, 3, 3.9])).toHaveLength(1);
  expect(warning([2, 3.9, 8])).toEqual([]);
});

test.each([0, 1, -1e-9, 1.5, Number.NaN])("delta %d is refused", (delta) => {
  expect(() => createRdpAccountant().epsilon([], delta)).toThrow(`delta ${delta} must be above 0 and below 1`);
});

test.each([
  [events(-0.1, 1, 1), "sampling rate -0.1"],
  [events(1.01, 1, 1), "sampling rate 1.01"],
  [events(Number.NaN, 1, 1), "sampling rate NaN"],
  [events(0.1, -1, 1), "noise multiplier -1"],
  [events(0.1, Number.NaN, 1), "noise multiplier NaN"],
  [events(0.1, Number.POSITIVE_INFINITY, 1), "noise multiplier Infinity"],
  [events(0.1, 1, 0), "count 0"],
  [events(0.1, 1, 1.5), "count 1.5"],
])("bad events are refused: %j", (bad, message) => {
  expect(() => createRdpAccountant().epsilon(bad, 1e-5)).toThrow(message);
});

test.each([[[]], [[1, 2]], [[3, 2]], [[2, Number.POSITIVE_INFINITY]], [[2, 2]]])("orders %j are refused", (orders) => {
  expect(() => createRdpAccountant({ orders })).toThrow(`orders [${orders.join(", ")}] must ascend from above 1`);
});

describe("properties", () => {
  const rate = fc.double({ min: 1e-6, max: 1, noNaN: true });
  const noise = fc.double({ min: 0.3, max: 20, noNaN: true });
  const steps = fc.integer({ min: 1, max: 100_000 });
  const accountant = createRdpAccountant();
  const epsilon = (list: PrivacyEvent[], delta = 1e-5): number => accountant.epsilon(list, delta).epsilon;
  /** Each is monotone up to rounding. */
  const notAbove = (small: number, large: number): void => {
    expect(small).toBeLessThanOrEqual(large * (1 + 1e-9) + 1e-9);
  };
  const runs = { numRuns: 15 };

  test("epsilon falls with noise and delta, grows with rate and steps", () => {
    fc.assert(
      fc.property(rate, noise, steps, fc.double({ min: 1, max: 3, noNaN: true }), (q, sigma, count, factor) => {
        const base = epsilon(events(q, sigma, count));
        notAbove(epsilon(events(q, sigma * factor, count)), base);
        notAbove(epsilon(events(q, sigma, count), 1e-5 * factor), base);
        notAbove(base, epsilon(events(Math.min(1, q * factor), sigma, count)));
        notAbove(base, epsilon(events(q, sigma, Math.ceil(count * factor))));
        expect(base).toBeGreaterThanOrEqual(0);
      }),
      runs,
    );
  });

  test("composing T1 and then T2 is composing T1 + T2, in any order and grouping", () => {
    fc.assert(
      fc.property(rate, noise, steps, steps, noise, (q, sigma, first, second, other) => {
        const extra = events(q, other, 3);
        const split = [...events(q, sigma, first), ...extra, ...events(q, sigma, second)];
        const whole = epsilon([...extra, ...events(q, sigma, first + second)]);
        expect(epsilon(split)).toBe(whole);
        expect(epsilon(split.reverse())).toBe(whole);
      }),
      runs,
    );
  });

  test("the united grid is at least as tight as each library's", () => {
    fc.assert(
      fc.property(rate, noise, steps, (q, sigma, count) => {
        for (const orders of ["opacus", "dp-accounting", "tf-privacy"] as const) {
          notAbove(
            epsilon(events(q, sigma, count)),
            createRdpAccountant({ orders }).epsilon(events(q, sigma, count), 1e-5).epsilon,
          );
        }
      }),
      { numRuns: 10 },
    );
  });
});
