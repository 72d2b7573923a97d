import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { block, dense, norm, plus, product, times } from "../testing/dense.js";
import {
  meanProduct,
  numbers,
  productMethod,
  productRound,
  randomClients,
  relativeDifference,
} from "../testing/product-round.js";
import type { FactorClient, ProductRun } from "../testing/product-round.js";

const f1: ProductRun = { method: "flexlora", dOut: 2, rank: 1, dIn: 2, scaling: 2 };
const f1Clients = [
  { weight: 1, a: [2, 0], b: [1, 0] },
  { weight: 3, a: [0, 4], b: [0, 1] },
];

describe("golden values of fixture F1", () => {
  test("G6: rank 1 keeps the larger direction, all of the singular value in B, and reports the rest", () => {
    const { a, b, weight, metrics } = productRound(f1, f1Clients);
    expect([...b].map((x) => x + 0)).toEqual([0, 3]);
    expect([...a].map((x) => x + 0)).toEqual([0, 1]);
    expect([...weight.values].map((x) => x + 0)).toEqual([0, 0, 0, 6]);
    expect(metrics["truncationError"]).toBeCloseTo(1, 12);
    expect(metrics["truncationShare"]).toBeCloseTo(1 / Math.sqrt(37), 12);
  });

  test("G7: rank 2 keeps all of it", () => {
    const { weight, metrics } = productRound(
      { ...f1, rank: 2 },
      f1Clients.map((client) => ({ ...client, rank: 1 })),
    );
    [1, 0, 0, 6].forEach((expected, i) => expect(weight.values[i]).toBeCloseTo(expected, 6));
    expect(metrics["truncationError"]).toBe(0);
  });

  test("G11: the other sign of one client's factors changes nothing", () => {
    const { a, b } = productRound(f1, [{ weight: 1, a: [-2, 0], b: [-1, 0] }, f1Clients[1]!]);
    expect([...b, ...a].map((x) => x + 0)).toEqual([0, 3, 0, 1]);
  });
});

interface Golden {
  readonly products: readonly {
    readonly name: string;
    readonly left: number[][];
    readonly right: number[][];
    readonly rank: number;
    readonly truncated: number[][];
    readonly tail: number;
  }[];
}
const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/linalg/golden.json", import.meta.url), "utf8"),
) as Golden;

test("G23: three clients of rank 2, 8 x 7: the best approximation and its error are LAPACK's", () => {
  const { left, right, rank, truncated, tail } = golden.products.find(({ name }) => name === "tall factors")!;
  const clients = [0, 1, 2].map((k): FactorClient => ({
    weight: 1,
    rank: 2,
    b: left.flatMap((row) => row.slice(2 * k, 2 * k + 2)),
    a: right.slice(2 * k, 2 * k + 2).flat(),
  }));
  const { weight, metrics } = productRound({ method: "flexlora", dOut: 8, rank, dIn: 7, scaling: 3 }, clients);
  const expected = dense(8, 7, (i, j) => truncated[i]![j]!);
  expect(relativeDifference(weight, expected)).toBeLessThan(1e-6);
  expect(metrics["truncationError"]! / tail).toBeCloseTo(1, 6);
});

describe("mixed ranks", () => {
  const run: ProductRun = {
    method: "flexlora",
    ...{ dOut: 40, rank: 8, dIn: 30, scaling: 2 },
    global: { a: numbers(240, 41), b: numbers(320, 42) },
  };
  const clients = randomClients(run, 6, (k) => [8, 1, 4, 2, 8, 3][k]!);

  test("a client's prefix is the best approximation of its rank", () => {
    const { a, b, metrics } = productRound(run, clients);
    const expected = meanProduct(run, clients);
    const whole = { a: dense(8, 30, (q, j) => a[q * 30 + j]!), b: dense(40, 8, (i, q) => b[i * 8 + q]!) };
    const errorAt = (rank: number): number => {
      const own = times(2, product(block(whole.b, 40, rank), block(whole.a, rank, 30)));
      return norm(plus(expected, times(-1, own)));
    };
    // Columns of B are orthogonal, those of A^T orthonormal, and what is left shrinks by the singular values.
    const sizes = Array.from({ length: 8 }, (_, q) => 2 * norm(dense(40, 1, (i) => b[i * 8 + q]!)));
    for (let rank = 1; rank < 8; rank++) {
      expect(sizes[rank]!).toBeLessThanOrEqual(sizes[rank - 1]!);
      expect(errorAt(rank) ** 2 - errorAt(rank + 1) ** 2).toBeCloseTo(sizes[rank]! ** 2, 2);
    }
    expect(errorAt(8) / metrics["truncationError"]!).toBeCloseTo(1, 5);
    const gramA = product(
      whole.a,
      dense(30, 8, (j, q) => a[q * 30 + j]!),
    );
    gramA.values.forEach((value, i) => expect(value).toBeCloseTo(i % 9 === 0 ? 1 : 0, 5));
  });

  test("the largest entry of each column of B is positive", () => {
    const { b } = productRound(run, clients);
    for (let q = 0; q < 8; q++) {
      const column = Array.from({ length: 40 }, (_, i) => b[i * 8 + q]!);
      expect(Math.max(...column)).toBe(Math.max(...column.map(Math.abs)));
    }
  });
});

describe("exactness against dense products, where the adapter's rank takes the sum", () => {
  test.each([
    ["ranks 1 to 32, 2 clients", 64, [32, 1], 90, 70],
    ["rank 1, 60 clients", 60, Array.from({ length: 60 }, () => 1), 90, 70],
    ["100 clients of mixed ranks, more than the sides", 30, Array.from({ length: 100 }, (_, k) => 1 + (k % 7)), 30, 50],
  ])("%s", (_, rank, ranks, dOut, dIn) => {
    const run: ProductRun = { method: "flexlora", dOut, rank, dIn, scaling: 0.5 };
    const clients = randomClients(run, ranks.length, (k) => ranks[k]!);
    const { weight, metrics } = productRound(run, clients);
    expect(relativeDifference(weight, meanProduct(run, clients))).toBeLessThan(1e-6);
    expect(metrics["truncationShare"]).toBeLessThan(1e-12);
  });
});

describe("directions that the products do not have", () => {
  const a = numbers(12, 5);
  const run: ProductRun = { method: "flexlora", dOut: 4, rank: 3, dIn: 4, global: { a, b: new Float32Array(12) } };
  const still = (rank: number): FactorClient => ({
    weight: 1,
    rank,
    a: new Float32Array(4 * rank),
    b: new Float32Array(4 * rank),
  });

  test("keep their rows of A, with a zero column of B", () => {
    const moved = { weight: 1, rank: 1, a: new Float32Array(4), b: numbers(4, 6) };
    const { a: rows, b } = productRound(run, [moved, still(3)]);
    expect([...rows.slice(4)]).toEqual([...a.slice(4)]);
    expect(norm(dense(4, 1, (i) => b[i * 3]!))).toBeGreaterThan(0);
    for (const q of [1, 2]) expect([0, 1, 2, 3].map((i) => b[i * 3 + q])).toEqual([0, 0, 0, 0]);
  });

  test("a round without change leaves A as it is, and nothing is not a number", () => {
    const { a: rows, b, metrics } = productRound(run, [still(3), still(2)]);
    expect([...rows]).toEqual([...a]);
    expect(b.every((x) => x === 0)).toBe(true);
    expect(metrics).toMatchObject({ truncationError: 0, truncationShare: 0 });
  });
});

test("the base is left alone, and the adapter exports as it is", () => {
  const run: ProductRun = { method: "flexlora", dOut: 3, rank: 1, dIn: 2 };
  const method = productMethod(run);
  const { result } = productRound(
    run,
    randomClients(run, 2, () => 1),
  );
  expect(result.baseDelta).toBeUndefined();
  expect(method.exports(result.state)).toEqual(["peft"]);
});
