import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { addTailPenalty } from "./tail-penalty.js";

interface Case {
  readonly rank: number;
  readonly dIn: number;
  readonly dOut: number;
  readonly gamma: number;
  readonly lambda: number;
  readonly from: number;
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly gradA: readonly number[];
  readonly gradB: readonly number[];
}
const path = new URL("../../../../testdata/client-directives/golden.json", import.meta.url);
const { penalty } = JSON.parse(readFileSync(path, "utf8")) as { penalty: readonly Case[] };

const factorsOf = ({ rank, dIn, dOut, a, b }: Pick<Case, "rank" | "dIn" | "dOut" | "a" | "b">) => ({
  a: { shape: [rank, dIn], data: Float32Array.from(a) },
  b: { shape: [dOut, rank], data: Float32Array.from(b) },
});

test.each(penalty)("has the gradient that PyTorch finds: rank $rank, gamma $gamma", (row) => {
  const gradients = { a: new Float32Array(row.a.length).fill(1), b: new Float32Array(row.b.length).fill(-1) };

  addTailPenalty(factorsOf(row), gradients, row.from, row.lambda);

  gradients.a.forEach((value, i) => expect(value).toBeCloseTo(1 + row.gradA[i]!, 6));
  gradients.b.forEach((value, i) => expect(value).toBeCloseTo(-1 + row.gradB[i]!, 6));
});

test("has the gradient of finite differences", () => {
  const row = penalty[0]!;
  const lossOf = (a: readonly number[], b: readonly number[]): number => {
    const tailA = a.slice(row.from * row.dIn);
    const tailB = b.filter((_, i) => i % row.rank >= row.from);
    return row.lambda * Math.hypot(...tailA) * Math.hypot(...tailB);
  };
  const gradients = { a: new Float32Array(row.a.length), b: new Float32Array(row.b.length) };
  addTailPenalty(factorsOf(row), gradients, row.from, row.lambda);

  const step = 1e-5;
  const slope = (at: (delta: number) => number): number => (at(step) - at(-step)) / (2 * step);
  row.a.forEach((_, i) => {
    const moved = (delta: number) => row.a.map((value, k) => (k === i ? value + delta : value));
    expect(gradients.a[i]).toBeCloseTo(
      slope((delta) => lossOf(moved(delta), row.b)),
      6,
    );
  });
  row.b.forEach((_, i) => {
    const moved = (delta: number) => row.b.map((value, k) => (k === i ? value + delta : value));
    expect(gradients.b[i]).toBeCloseTo(
      slope((delta) => lossOf(row.a, moved(delta))),
      6,
    );
  });
});

test("has none at a tail of zeros, and none for a factor that is not trained", () => {
  const row = penalty[0]!;
  const zeros = { ...row, b: row.b.map(() => 0) };
  const gradients = { a: new Float32Array(row.a.length), b: new Float32Array(row.b.length) };

  addTailPenalty(factorsOf(zeros), gradients, row.from, row.lambda);
  expect([...gradients.a, ...gradients.b].every((value) => value === 0)).toBe(true);

  addTailPenalty(factorsOf(row), { a: undefined, b: gradients.b }, row.from, row.lambda);
  expect(gradients.b.some((value) => value !== 0)).toBe(true);
});
