import { RandomStream, randomKey } from "@fedlora/core";
import { expect, test } from "vitest";
import { drawDirichlet } from "./gamma.js";

test.each([0.05, 0.5, 1, 10])("shares of Dirichlet(%d) sum to 1 and have its mean and variance", (alpha) => {
  const size = 4;
  const draws = 4000;
  const stream = new RandomStream(randomKey(7));
  const firsts = Array.from({ length: draws }, () => {
    const shares = drawDirichlet(stream, size, alpha);
    expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    expect(shares.every((share) => share >= 0)).toBe(true);
    return shares[0]!;
  });
  const mean = firsts.reduce((a, b) => a + b, 0) / draws;
  const variance = firsts.reduce((sum, share) => sum + (share - mean) ** 2, 0) / (draws - 1);
  // Closed forms: mean 1 / K, variance (1 / K)(1 - 1 / K) / (K alpha + 1).
  const expected = ((1 / size) * (1 - 1 / size)) / (size * alpha + 1);
  expect(Math.abs(mean - 1 / size)).toBeLessThan(4 * Math.sqrt(expected / draws));
  expect(Math.abs(variance / expected - 1)).toBeLessThan(0.12);
});

test("a tiny alpha gives one label all, and no NaN", () => {
  const shares = drawDirichlet(new RandomStream(randomKey(1)), 10, 1e-4);
  expect(Math.max(...shares)).toBeGreaterThan(0.999);
  expect(shares.every(Number.isFinite)).toBe(true);
});
