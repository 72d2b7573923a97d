import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { subsampledGaussianRdp } from "./subsampled-gaussian-rdp.js";

const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/privacy/divergences.json", import.meta.url), "utf8"),
) as { rows: { order: number; samplingRate: number; noiseMultiplier: number; divergence: number }[] };

test.each(golden.rows)(
  "order $order, rate $samplingRate, noise $noiseMultiplier: never below the integral, and near it",
  ({ order, samplingRate, noiseMultiplier, divergence }) => {
    const bound = subsampledGaussianRdp(order, samplingRate, noiseMultiplier);
    // What a fractional order adds for rounding, 2^-48 in the moment, is divided by the order less one.
    const allowed = Number.isInteger(order) ? 0 : 2 ** -47 / (order - 1);
    expect(bound).toBeGreaterThanOrEqual(divergence * (1 - 1e-12));
    expect(bound).toBeLessThanOrEqual(divergence * (1 + 1e-12) + allowed);
  },
);

test.each([
  [0.01, 1],
  [0.1, 1],
  [0.04, 1.5],
  [1e-8, 0.7],
])("order 2 has the closed form ln(1 + q^2 (exp(1 / sigma^2) - 1)); q %d, sigma %d", (q, sigma) => {
  expect(subsampledGaussianRdp(2, q, sigma)).toBeCloseTo(Math.log1p(q * q * Math.expm1(1 / sigma ** 2)), 15);
});

test("the edges: nobody sampled, no noise, everybody sampled", () => {
  expect(subsampledGaussianRdp(3, 0, 0)).toBe(0);
  expect(subsampledGaussianRdp(3, 0.5, 0)).toBe(Number.POSITIVE_INFINITY);
  expect(subsampledGaussianRdp(3.5, 1, 2)).toBe(3.5 / 8);
});

test("noise so large that a fractional order's digits are lost is bounded by the next integer order", () => {
  // There the divergence is order q^2 / (2 sigma^2), up to parts of sigma^-2.
  const bound = subsampledGaussianRdp(3.5, 0.9999, 1e10);
  expect(bound / ((4 * 0.9999 ** 2) / (2 * 1e10 ** 2))).toBeCloseTo(1, 10);
});

test("fractional orders join the integer ones smoothly and rise with the order", () => {
  const orders = [1.9, 1.999999, 2, 2.000001, 2.1, 31.9, 31.999999, 32, 32.000001];
  for (const [q, sigma] of [
    [0.01, 1],
    [0.3, 0.5],
    [0.001, 4],
  ] as const) {
    const values = orders.map((order) => subsampledGaussianRdp(order, q, sigma));
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(values[1]! / values[2]!).toBeCloseTo(1, 4);
    expect(values[6]! / values[7]!).toBeCloseTo(1, 4);
  }
});
