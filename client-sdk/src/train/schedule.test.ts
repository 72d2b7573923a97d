import { trainingSchema } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { learningRateFactor, learningRates } from "./schedule.js";

const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/schedules/golden.json", import.meta.url), "utf8"),
) as {
  cases: { kind: "constant" | "linear" | "cosine"; warmupSteps: number; totalSteps: number; factors: number[] }[];
};

describe("factors", () => {
  test.each(golden.cases)("$kind, warm-up $warmupSteps of $totalSteps, as transformers", (entry) => {
    entry.factors.forEach((factor, step) => {
      expect(learningRateFactor(entry, step, entry.totalSteps)).toBeCloseTo(factor, 12);
    });
  });

  test("nothing falls where the run's end is unknown", () => {
    const schedule = { kind: "cosine", warmupSteps: 2 } as const;

    expect([0, 1, 2, 1000].map((step) => learningRateFactor(schedule, step, undefined))).toEqual([0, 0.5, 1, 1]);
  });

  test("a warm-up as long as the run", () => {
    expect(learningRateFactor({ kind: "linear", warmupSteps: 4 }, 3, 4)).toBe(0.75);
    expect(learningRateFactor({ kind: "linear", warmupSteps: 4 }, 4, 4)).toBe(1);
  });
});

test("rates by what a tensor is", () => {
  const trained = new Map([
    ["a", "lora-a"],
    ["b", "lora-b"],
    ["h", "head"],
  ] as const);
  const optimizer = (fields: object) => trainingSchema.parse({ optimizer: { learningRate: 0.1, ...fields } }).optimizer;

  expect(learningRates(optimizer({}), trained, 0.5)).toEqual({ a: 0.05, b: 0.05, h: 0.05 });
  expect(learningRates(optimizer({ loraPlusRatio: 8, headLearningRate: 0.01 }), trained, 1)).toEqual({
    a: 0.1,
    b: 0.8,
    h: 0.01,
  });
});
