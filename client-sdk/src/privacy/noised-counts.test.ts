import { assertEvaluationCounts, type EvaluationCounts, type PlanPrivacy, taskSchema } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lossBound, noiseCounts } from "./noised-counts.js";

const classes = taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b", "c"] });
const language = taskSchema.parse({ kind: "causal-lm" });
type Noised = PlanPrivacy & { readonly metricsNoise: number };
const shared = { noiseMultiplier: 1, clipNorm: 1, delta: 1e-5 };
const privacyOf = (mode: PlanPrivacy["mode"], metricsNoise: number): Noised =>
  mode === "example"
    ? { mode, ...shared, metricsNoise, clipping: "flat", minExamples: 1 }
    : { mode, ...shared, metricsNoise };
const keyOf = (seed: number): Uint8Array => {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, seed);
  return key;
};
const counts: EvaluationCounts = {
  count: 9000,
  lossSum: 4500,
  confusion: [2000, 500, 500, 500, 2000, 500, 500, 500, 2000],
};

test("the bound on a loss is twice that of a guess", () => {
  expect(lossBound(classes, 30_000)).toBe(2 * Math.log(3));
  expect(lossBound(language, 1000)).toBe(2 * Math.log(1000));
});

describe.each(["example", "client", "local"] as const)("mode %s", (mode) => {
  const total = mode === "example" ? 9000 : 1000;
  const sensitivity = mode === "example" ? Math.SQRT2 : 1000 * Math.sqrt(3);

  test.each([0.3, 2.5])("a cell and the losses have the noise of multiplier %f", (multiplier) => {
    // Far above the noise, so that nothing is cut at 0; whole numbers add a variance of 1/12.
    const far = { count: 3e5, lossSum: 1e5, confusion: [1e5, 1e5, 1e5] };
    const runs = 1500;
    const scaled = mode === "example" ? far : { ...far, count: 1000, lossSum: 1000 / 3, confusion: [0, 0, 0] };
    const cell = mode === "example" ? 1e5 : 1000 / 3;
    const first: number[] = [];
    const losses: number[] = [];
    for (let seed = 0; seed < runs; seed++) {
      const noised = noiseCounts(far, 1, privacyOf(mode, multiplier * (mode === "example" ? 1 : 0.01)), keyOf(seed));
      first.push(noised.confusion[0]! - cell);
      losses.push(noised.lossSum - scaled.lossSum);
    }

    const std = multiplier * sensitivity * (mode === "example" ? 1 : 0.01);
    const variance = (values: number[]): number => values.reduce((sum, value) => sum + value ** 2, 0) / runs;
    const limit = 6.11 * Math.sqrt(2 / runs) + 0.02;
    expect(Math.abs(variance(first) / (std ** 2 + 1 / 12) - 1)).toBeLessThan(limit);
    expect(Math.abs(variance(losses) / std ** 2 - 1)).toBeLessThan(limit);
  });

  test("with little noise the counts are the client's, brought to its weight", () => {
    const noised = noiseCounts(counts, lossBound(classes, 0), privacyOf(mode, 1e-6), keyOf(1));

    expect(noised.count).toBeGreaterThanOrEqual(total - 9);
    expect(noised.count).toBeLessThanOrEqual(total + 9);
    expect(noised.confusion[0]).toBe(Math.round((2000 * total) / 9000));
    expect(noised.lossSum / total).toBeCloseTo(0.5, 2);
  });

  test("texts without labels keep their number and their losses, and get no confusion matrix", () => {
    const texts = noiseCounts({ count: 40, lossSum: 80, confusion: [] }, 20, privacyOf(mode, 1e-6), keyOf(1));

    expect(texts).toMatchObject({ count: mode === "example" ? 40 : 1000, confusion: [] });
    expect(texts.lossSum / texts.count).toBeCloseTo(2, 2);
  });

  test("whatever the noise, what leaves are counts that a coordinator accepts", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), fc.double({ min: 0.01, max: 1e4, noNaN: true }), (seed, metricsNoise) => {
        const privacy = privacyOf(mode, metricsNoise);
        const labelled = noiseCounts(counts, lossBound(classes, 0), privacy, keyOf(seed));
        const texts = noiseCounts({ count: 40, lossSum: 80, confusion: [] }, 20, privacy, keyOf(seed));

        expect(() => assertEvaluationCounts(classes, labelled)).not.toThrow();
        expect(() => assertEvaluationCounts(language, texts)).not.toThrow();
      }),
    );
  });
});
