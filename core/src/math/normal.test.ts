import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { relativeError } from "../testing/relative-error.js";
import { logNormalCdf, normalCdf, normalInterval, scaledErfc } from "./normal.js";

const golden = JSON.parse(readFileSync(new URL("../../../testdata/privacy/normal.json", import.meta.url), "utf8")) as {
  cdf: { z: number; value: number; log: number }[];
  farLog: { z: number; log: number }[];
  scaledErfc: { x: number; value: number }[];
};

describe("against mpmath", () => {
  test.each(golden.scaledErfc)("scaled erfc of $x", ({ x, value }) => {
    expect(relativeError(scaledErfc(x), value)).toBeLessThan(1e-15);
  });
  test.each(golden.cdf)("normal distribution at $z", ({ z, value, log }) => {
    // The exponent z^2 / 2 is rounded, which is all that the tail loses.
    expect(relativeError(normalCdf(z), value)).toBeLessThan(1e-15 * (1 + 0.1 * z * z));
    expect(relativeError(logNormalCdf(z), log)).toBeLessThan(1e-14);
  });
  test.each(golden.farLog)("logarithm at $z", ({ z, log }) => {
    expect(relativeError(logNormalCdf(z), log)).toBeLessThan(1e-15);
  });
});

test("intervals keep their digits in both tails", () => {
  expect(relativeError(normalInterval(-1, 2), 0.8185946141203637)).toBeLessThan(1e-15);
  expect(relativeError(normalInterval(9, 9.5), normalCdf(-9) - normalCdf(-9.5))).toBeLessThan(1e-15);
  expect(normalInterval(9, 9.5)).toBe(normalInterval(-9.5, -9));
});

test("below 0 there is no scaled erfc", () => {
  expect(scaledErfc(-1e-9)).toBeNaN();
  expect(scaledErfc(Number.NaN)).toBeNaN();
});
