import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createPldAccountant } from "./pld-accountant.js";
import type { PrivacyEvent } from "./privacy-event.js";
import { createRdpAccountant } from "./rdp-accountant.js";

const golden = JSON.parse(readFileSync(new URL("../../../testdata/privacy/pld.json", import.meta.url), "utf8")) as {
  rows: {
    events: { samplingRate: number; noiseMultiplier: number; count: number }[];
    delta: number;
    optimistic: number;
    pessimistic: number;
  }[];
};
const events = (samplingRate: number, noiseMultiplier: number, count: number): PrivacyEvent[] => [
  { mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier }, count },
];
const accountant = createPldAccountant();

describe("between dp-accounting's estimates", () => {
  test.each(golden.rows)("$events at delta $delta", ({ events: parts, delta, optimistic, pessimistic }) => {
    const bound = accountant.epsilon(
      parts.flatMap(({ samplingRate, noiseMultiplier, count }) => events(samplingRate, noiseMultiplier, count)),
      delta,
    );
    expect(bound.epsilon).toBeGreaterThanOrEqual(optimistic);
    expect(bound.epsilon).toBeLessThanOrEqual(pessimistic * 1.0003 + 1e-6);
    expect(bound.lowerEpsilon).toBeLessThanOrEqual(pessimistic);
    expect(bound.lowerEpsilon).toBeGreaterThanOrEqual(optimistic * 0.999);
    expect(bound.lowerEpsilon).toBeLessThanOrEqual(bound.epsilon);
    expect(bound.warnings).toEqual([]);
  });
});

describe("figures of other libraries", () => {
  test.each([
    // TF Privacy, compute_dp_sgd_privacy_test.py.
    [1, 0.7, 2, 1e-5, 10.1224946, 1e-7],
    [0.01, 0.7, 120, 1e-5, 2.4612381, 2e-6],
    [1, 0.35, 2, 1e-5, 24.7160779, 1e-7],
    [0.01, 0.35, 120, 1e-5, 18.6977407, 5e-5],
    // Its privacy statement: 10,000 examples, batches of 64, five epochs, noise 2 of doubled sensitivity.
    [0.0064, 1, 782, 1e-6, 1.199, 5e-4],
    // dp-accounting, pld_privacy_accountant_test.py: delta .15594 at epsilon 1.
    [0.2, 0.5, 3, 0.15594, 1, 1e-4],
    // dp-accounting, accountant_test.py: the noise that gives epsilon 1.
    [0.01, 0.67379294682, 1, 1e-5, 1, 1e-5],
    [0.001, 3.20956502598 / 6, 25, 1e-5, 1, 1e-4],
  ])("rate %d, noise %d, %d steps at delta %d", (q, sigma, steps, delta, epsilon, tolerance) => {
    const bound = accountant.epsilon(events(q, sigma, steps), delta);
    expect(Math.abs(bound.epsilon - epsilon)).toBeLessThanOrEqual(tolerance);
  });

  // Opacus, tests/prv_accountant.py, delta 1e-6: an upper bound of the true epsilon by 0.01; noise, rate, steps, epsilon.
  const prv = [
    [0.8, 0.001, 100, 0.270403],
    [1.5, 0.001, 100, 0.0393694],
    [2, 0.001, 100, 0.0291045],
    [0.8, 0.05, 100, 6.741052],
    [1.5, 0.05, 100, 1.953853],
    [2, 0.05, 100, 1.283637],
    [3, 0.05, 100, 0.767934],
    [0.8, 0.2, 100, 24.333664],
    [1.5, 0.2, 100, 8.498978],
    [2, 0.2, 100, 5.672056],
    [3, 0.2, 100, 3.381221],
    [1.5, 0.001, 50000, 0.704218],
    [3, 0.001, 50000, 0.309694],
    [0.8, 0.001, 1000, 0.477771],
    [1.5, 0.001, 1000, 0.0998207],
    [0.8, 0.05, 1000, 19.525843],
    [1.5, 0.05, 1000, 6.209969],
    [2, 0.05, 1000, 4.1728],
    [3, 0.05, 1000, 2.527574],
    [0.8, 0.001, 20000, 1.296009],
    [1.5, 0.001, 20000, 0.437005],
    [2, 0.001, 20000, 0.305838],
    [3, 0.001, 20000, 0.194031],
    [1.5, 0.05, 20000, 38.306618],
    [2, 0.05, 20000, 24.421719],
    [3, 0.05, 20000, 13.961115],
  ] as const;
  test.each(prv)("Opacus' PRV: noise %d, rate %d, %d steps", (sigma, q, steps, epsilon) => {
    const bound = createPldAccountant({ tolerance: 3e-3 }).epsilon(events(q, sigma, steps), 1e-6);
    expect(Math.abs(bound.epsilon - (epsilon - 0.01))).toBeLessThanOrEqual(0.01);
    // Renyi accounting may not claim less than the truth.
    const renyi = createRdpAccountant().epsilon(events(q, sigma, steps), 1e-6).epsilon;
    expect(renyi).toBeGreaterThanOrEqual(epsilon - 0.01);
    expect(renyi).toBeGreaterThanOrEqual(bound.lowerEpsilon!);
  });
});

describe("hard settings", () => {
  test.each([
    ["a hundred thousand steps at a tiny delta", 0.01, 1, 100_000, 1e-12, 0.01],
    ["many steps at a high rate", 0.2, 0.8, 100_000, 1e-6, 0.01],
    ["almost no noise, almost never sampled", 1.024e-5, 0.1, 976_563, 1e-7, 0.01],
    ["one step at a tiny rate", 1e-6, 1, 1, 1e-9, 0.05],
    ["much noise", 0.1, 200, 1000, 1e-6, 0.05],
    ["a million steps", 0.001, 2, 1_000_000, 1e-8, 0.01],
    ["a large delta", 0.02, 1, 1000, 0.1, 0.01],
  ])("%s: bounds near each other", (_, q, sigma, steps, delta, gap) => {
    const { epsilon, lowerEpsilon, warnings } = createPldAccountant({ tolerance: 1e-3 }).epsilon(
      events(q, sigma, steps),
      delta,
    );
    expect(warnings).toEqual([]);
    expect(lowerEpsilon).toBeGreaterThan(0);
    expect(epsilon - lowerEpsilon!).toBeLessThanOrEqual(gap * epsilon + 1e-5);
  });
});
