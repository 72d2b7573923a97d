import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { SecretRandom, systemSecret } from "./secret-random.js";

const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/core/noise/normal.json", import.meta.url), "utf8"),
) as {
  bins: number;
  quantiles: number[];
  chiSquareLimit: number;
  normalLimit: number;
  tails: { beyond: number; probability: number }[];
};

const keyOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

/** Chi-square statistic of a sample against equally likely bins of the standard normal. */
function chiSquare(sample: Float64Array): number {
  const counts = new Array<number>(golden.bins).fill(0);
  for (const x of sample) {
    let [low, high] = [0, golden.bins - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x < (golden.quantiles[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    counts[low] = (counts[low] ?? 0) + 1;
  }
  const expected = sample.length / golden.bins;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

// With fixed keys these either always pass or always fail; a correct sampler would fail for one key in 10^9.
describe.each([1, 2])("a million normals under key %i", (byte) => {
  const sample = new Float64Array(1e6);
  new SecretRandom(keyOf(byte)).addNormals(sample, 1);

  test("fill the bins of a normal distribution", () => {
    expect(chiSquare(sample)).toBeLessThan(golden.chiSquareLimit);
  });

  test("have mean 0, variance 1, no skew and a kurtosis of 3", () => {
    const moment = (power: number): number => sample.reduce((sum, x) => sum + x ** power, 0) / sample.length;
    const limit = golden.normalLimit / Math.sqrt(sample.length);

    expect(Math.abs(moment(1))).toBeLessThan(limit);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(limit * Math.sqrt(2));
    expect(Math.abs(moment(3))).toBeLessThan(limit * Math.sqrt(15));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(limit * Math.sqrt(96));
  });

  test.each(golden.tails)("lie beyond $beyond as often as they should", ({ beyond, probability }) => {
    const count = sample.reduce((sum, x) => sum + Number(Math.abs(x) > beyond), 0);

    // Of a Poisson count of mean 0.57 (the last row), more than 15 is as rare as the other limits.
    const expected = probability * sample.length;
    expect(Math.abs(count - expected)).toBeLessThan(golden.normalLimit * Math.sqrt(expected) + 10);
  });

  test("do not depend on their neighbours", () => {
    let covariance = 0;
    for (let i = 1; i < sample.length; i++) covariance += (sample[i] ?? 0) * (sample[i - 1] ?? 0);

    expect(Math.abs(covariance / sample.length)).toBeLessThan(golden.normalLimit / Math.sqrt(sample.length));
  });
});

test("noise of the system's own key has the deviation asked for; one run in 10^9 fails", () => {
  for (const std of [0.3, 2.5]) {
    const values = new Float32Array(100_000).fill(10);
    new SecretRandom(systemSecret()).addNormals(values, std);

    const variance = values.reduce((sum, x) => sum + (x - 10) ** 2, 0) / values.length;
    expect(Math.abs(variance / std ** 2 - 1)).toBeLessThan(golden.normalLimit * Math.sqrt(2 / values.length));
  }
});

test("adds what it draws one by one, rounded once", () => {
  const drawn = new SecretRandom(keyOf(3));
  const expected = Float32Array.from({ length: 5000 }, (_, i) => i + 0.3 * drawn.normal());

  const values = Float32Array.from({ length: 5000 }, (_, i) => i);
  const added = new SecretRandom(keyOf(3));
  added.addNormals(values.subarray(0, 777), 0.3);
  added.addNormals(values.subarray(777), 0.3);

  expect(values).toEqual(expected);
});

test("uniforms are spread over [0, 1)", () => {
  const stream = new SecretRandom(keyOf(4));
  const tenths = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) {
    const u = stream.uniform();
    expect(u >= 0 && u < 1).toBe(true);
    tenths[Math.floor(u * 10)]! += 1;
  }

  for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(golden.normalLimit * Math.sqrt(9000));
});

test("another key or nonce gives other numbers, the same ones the same", () => {
  const first = (key: Uint8Array, nonce?: Uint8Array): number => new SecretRandom(key, nonce).normal();
  const nonce = new Uint8Array(12).fill(1);

  expect(first(keyOf(5))).toBe(first(keyOf(5)));
  expect(new Set([first(keyOf(5)), first(keyOf(6)), first(keyOf(5), nonce)]).size).toBe(3);
  expect(systemSecret()).not.toEqual(systemSecret());
});

test("an erased stream gives nothing more", () => {
  const stream = new SecretRandom(keyOf(7));
  stream.uniform();

  stream.erase();

  expect(() => stream.uint32()).toThrow(/used up/);
});
