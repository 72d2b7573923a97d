import { expect, test } from "vitest";
import { parallelBound } from "./parallel.js";

test("the worst of disjoint clients bounds all", () => {
  expect(
    parallelBound([
      { epsilon: 1, lowerEpsilon: 0.9, warnings: ["a"] },
      { epsilon: 3, lowerEpsilon: 2.5, warnings: ["b", "a"] },
      { epsilon: 2, warnings: [] },
    ]),
  ).toEqual({ epsilon: 3, lowerEpsilon: 2.5, warnings: ["a", "b"] });
});

test("nobody spends nothing", () => {
  expect(parallelBound([])).toEqual({ epsilon: 0, warnings: [] });
  expect(parallelBound([{ epsilon: 0, warnings: [] }])).toEqual({ epsilon: 0, warnings: [] });
});

test.each([Number.NaN, -1])("an epsilon of %d bounds nothing", (epsilon) => {
  expect(parallelBound([{ epsilon, warnings: [] }]).epsilon).toBe(Number.POSITIVE_INFINITY);
});
