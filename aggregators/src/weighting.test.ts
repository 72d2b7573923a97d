import { expect, test } from "vitest";
import { updateWeight } from "./weighting.js";

test("uniform weights are one, whatever the client counts", () => {
  expect(updateWeight({ kind: "uniform" }, 1)).toBe(1);
  expect(updateWeight({ kind: "uniform" }, 12_345)).toBe(1);
});

test("weights by examples are the count, up to the cap", () => {
  const weighting = { kind: "by-examples", maxExamples: 100 } as const;
  expect([1, 99, 100, 101, 1e15].map((count) => updateWeight(weighting, count))).toEqual([1, 99, 100, 100, 100]);
});

test.each([0, -1, 1.5, NaN, Infinity, 2 ** 53])("a count of %d is refused", (count) => {
  for (const weighting of [{ kind: "uniform" }, { kind: "by-examples", maxExamples: 100 }] as const) {
    expect(() => updateWeight(weighting, count)).toThrow(expect.objectContaining({ code: "update-weight" }));
  }
});
