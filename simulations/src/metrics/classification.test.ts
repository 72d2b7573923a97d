import { expect, test } from "vitest";
import { pairedBootstrap, score } from "./classification.js";

/** A small linear congruential generator (Numerical Recipes): a fixed stream for a test. */
function fixedStream(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test("F1 counts by hand: 2 true positives, 1 false positive, 1 false negative", () => {
  const scores = score([1, 1, 1, 0, 0], [1, 1, 0, 1, 0], 1);
  expect(scores.f1).toBeCloseTo(4 / 6, 12);
  expect(scores.accuracy).toBeCloseTo(3 / 5, 12);
});

test("F1 is 0, not NaN, where the label never occurs", () => {
  expect(score([0, 0], [0, 0], 1).f1).toBe(0);
});

test("the bootstrap is certain of a perfect model against a useless one and of nothing between equals", () => {
  const truth = Array.from({ length: 200 }, (_, index) => (index % 4 === 0 ? 1 : 0));
  const useless = truth.map(() => 0);
  expect(pairedBootstrap(truth, useless, truth, 1, fixedStream(1), 200)).toBe(1);
  expect(pairedBootstrap(truth, truth, truth, 1, fixedStream(1), 200)).toBe(0);
});

test("a small edge is no certainty", () => {
  const truth = Array.from({ length: 200 }, (_, index) => (index % 4 === 0 ? 1 : 0));
  const a = truth.map((label, index) => (index === 0 ? 1 - label : label));
  const b = truth.map((label, index) => (index === 4 || index === 8 ? 1 - label : label));
  const share = pairedBootstrap(a, b, truth, 1, fixedStream(1), 500);
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(0.95);
});
