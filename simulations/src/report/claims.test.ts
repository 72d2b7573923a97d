import { describe, expect, test } from "vitest";
import { perClient } from "../run/per-client.js";
import type { RunResult } from "../run/round-row.js";
import type { Claim } from "../scenario/claim-schema.js";
import { claimFigures, claimsText, judgeClaims } from "./claims.js";
import { testRun } from "./testing/test-run.js";

const claim = (changes: Partial<Claim>): Claim => ({
  says: "S",
  metric: "accuracy",
  of: "a",
  atLeast: "b",
  ...changes,
});
/** Variant b learns more slowly, and with seed 1 not as far. */
const runs: readonly RunResult[] = [
  testRun("a", 0, [0.5, 0.75, 0.875]),
  testRun("a", 1, [0.5, 0.5, 0.625]),
  testRun("b", 0, [0.5, 0.625, 0.75]),
  testRun("b", 1, [0.25, 0.5, 0.75]),
];
const judged = (changes: Partial<Claim>, of = runs) => judgeClaims([claim(changes)], of)[0]!;

describe("a claim", () => {
  test("compares means over the seeds, and counts the seeds in which it holds alone", () => {
    // Means 0.75 and 0.75: equal is at least.
    const even = judged({});
    expect(even).toMatchObject({ outcome: "kept", limit: 0.75, seeds: { holds: 1, of: 2 } });
    expect(even.measured).toMatchObject({ mean: 0.75, count: 2 });
    expect(judged({ margin: 0.01 }).outcome).toBe("not kept");
    expect(judged({ factor: 0.5, margin: 0.25 })).toMatchObject({ limit: 0.625, seeds: { holds: 2, of: 2 } });
    expect(judged({ atLeast: undefined, atMost: 0.7 })).toMatchObject({ outcome: "not kept", other: undefined });
  });

  test("can be about the round at which a quality is reached", () => {
    const { until } = { until: { accuracy: 0.625 } };
    expect(judged({ metric: "rounds", atLeast: undefined, atMost: "b", until })).toMatchObject({
      outcome: "kept",
      measured: { mean: 2.5 },
      other: { mean: 2.5 },
    });
    const never = judged({ metric: "bytes", atLeast: undefined, atMost: "b", until: { accuracy: 0.75 } });
    expect(never).toMatchObject({ outcome: "not kept", measured: { mean: Infinity, std: undefined } });
    expect(claimFigures(never)).toBe(
      "bytes up and down until accuracy 0.75 of a never, at most b 9.000 MB; holds in 1 of 2 seeds",
    );
    // Nobody gets there: that is no reason to call one the faster.
    const both = judged({ metric: "virtualSeconds", atLeast: undefined, atMost: "b", until: { loss: 0.01 } });
    expect(both).toMatchObject({ outcome: "not kept", seeds: { holds: 0 } });
  });

  test("is not measured where a run failed or lacks the metric, and left out where a variant was not run", () => {
    const failed = runs.map((run) =>
      run.variant === "b" && run.seed === 1 ? { ...run, state: "failed" as const } : run,
    );
    expect(judged({}, failed)).toMatchObject({ outcome: "not measured", seeds: { holds: 1, of: 2 } });
    expect(judged({ metric: "worstClientAccuracy" })).toMatchObject({ outcome: "not measured", measured: undefined });
    expect(claimFigures(judged({ metric: "worstClientAccuracy" }))).toMatch(
      /of a not measured, at least b not measured/,
    );
    expect(judgeClaims([claim({ atLeast: "c" })], runs)).toEqual([]);
  });

  test("is printed with its outcome, figures and units", () => {
    const bytes = { metric: "bytesUp", atLeast: undefined, atMost: "b", factor: 0.5, margin: 1e6 } as const;
    const text = claimsText(judgeClaims([claim({}), claim({ ...bytes, says: "Sends half" })], runs));
    expect(text).toBe(
      [
        "Claims: 1 of 2 kept",
        "  kept      S",
        "              accuracy of a 0.7500 ± 0.1768, at least b 0.7500; holds in 1 of 2 seeds",
        "  not kept  Sends half",
        "              bytes up of a 3.000 MB, at most 0.5 times b 3.000 MB plus 1.000 MB = 2.500 MB; holds in 0 of 2 seeds",
      ].join("\n"),
    );
    expect(claimsText([])).toBeUndefined();
  });
});

test("clients one by one count the same, the worst are a tenth of them", () => {
  const counts = (right: number, wrong: number) => {
    return { count: right + wrong, lossSum: 2 * wrong, confusion: [right, wrong, 0, 0] };
  };
  const many = [...Array.from({ length: 19 }, () => counts(100, 0)), counts(1, 1), { ...counts(0, 0), lossSum: 0 }];
  expect(perClient(many)).toEqual({
    clients: 20,
    meanAccuracy: 19.5 / 20,
    meanLoss: 1 / 20,
    worstAccuracy: 0.75,
    worstLoss: 0.5,
  });
  expect(perClient([{ count: 4, lossSum: 2, confusion: [] }])).toMatchObject({
    meanAccuracy: undefined,
    worstLoss: 0.5,
  });
  expect(perClient([])).toBeUndefined();
});
