import { baseDeltaKeys, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { smallSvd } from "../linalg/small-svd.js";
import { tailNorm } from "../linalg/factored-product-svd.js";
import { dense, plus, times } from "../testing/dense.js";
import {
  meanProduct,
  numbers,
  productMethod,
  productRound,
  randomClients,
  relativeDifference,
} from "../testing/product-round.js";
import type { ProductRun } from "../testing/product-round.js";

const keys = baseDeltaKeys("m");
const values = (state: StateDict, name: string): number[] => [...toFloat32(state.get(name)!)];

/** Fixture F1 of the golden checks: p = (1/4, 3/4), rank 1, scaling 2. */
const f1: ProductRun = { method: "fedex-lora", dOut: 2, rank: 1, dIn: 2, scaling: 2 };
const f1Clients = [
  { weight: 1, a: [2, 0], b: [1, 0] },
  { weight: 3, a: [0, 4], b: [0, 1] },
];

describe("golden values of fixture F1", () => {
  test("G3: base delta and factors add up to scaling times the mean of the products", () => {
    const { weight, a, b } = productRound(f1, f1Clients);
    expect([...a]).toEqual([0.5, 3]);
    expect([...b]).toEqual([0.25, 0.75]);
    expect([...weight.values]).toEqual([1, 0, 0, 6]);
  });

  test("G4: the residual is factored at rank m - 1, the scaling in A", () => {
    const { delta } = productRound(f1, f1Clients);
    expect(values(delta, keys.b)).toEqual([0.75, -0.75]);
    expect(values(delta, keys.a)).toEqual([1, -2]);
  });

  test("G11: the other sign of one client's factors is the same weight", () => {
    const flipped = [{ weight: 1, a: [-2, 0], b: [-1, 0] }, f1Clients[1]!];
    const { weight, b } = productRound(f1, flipped);
    expect([...b]).toEqual([-0.25, 0.75]);
    expect([...weight.values]).toEqual([1, 0, 0, 6]);
  });

  test("G12: one client needs no residual, and the base keeps its version", () => {
    const { result, a, b } = productRound(f1, [f1Clients[1]!]);
    expect([[...a], [...b]]).toEqual([
      [0, 4],
      [0, 1],
    ]);
    expect(result.baseDelta).toBeUndefined();
    expect(productMethod(f1).exports(result.state)).toEqual(["peft", "truncated", "merged"]);
  });

  test("G13: clients that agree have a residual of zero", () => {
    const { delta } = productRound(f1, [f1Clients[0]!, { ...f1Clients[0]!, weight: 5 }]);
    expect(values(delta, keys.b).map(Math.abs)).toEqual([0, 0]);
  });
});

test("the residual is that of W [dOut, dIn] and not its transpose, on a square weight too", () => {
  const square: ProductRun = { method: "fedex-lora", dOut: 6, rank: 2, dIn: 6, scaling: 2 };
  const clients = randomClients(square, 2, () => 2);
  const { weight, delta } = productRound(square, clients);
  const expected = meanProduct(square, clients);
  expect(relativeDifference(weight, expected)).toBeLessThan(1e-6);
  // Had it been added the other way round, the square shape would not have told.
  const change = dense(6, 6, (i, j) =>
    [0, 1].reduce((sum, q) => sum + values(delta, keys.b)[i * 2 + q]! * values(delta, keys.a)[q * 6 + j]!, 0),
  );
  const transposedChange = dense(6, 6, (i, j) => change.values[j * 6 + i]!);
  const other = plus(plus(weight, times(-1, change)), transposedChange);
  expect(relativeDifference(other, expected)).toBeGreaterThan(0.01);
});

describe("exactness against dense products", () => {
  test.each([
    ["rank 1, 2 clients", 1, 2, 90, 70],
    ["rank 64, 2 clients", 64, 2, 200, 150],
    ["rank 8, 10 clients", 8, 10, 300, 200],
    ["rank 1, 100 clients, dense", 1, 100, 60, 80],
    ["rank 4, 100 clients, dense", 4, 100, 40, 70],
  ])("%s", (_, rank, count, dOut, dIn) => {
    const run: ProductRun = {
      method: "fedex-lora",
      ...{ dOut, rank, dIn, scaling: 0.5 },
      global: { a: numbers(rank * dIn, 901), b: numbers(dOut * rank, 902) },
    };
    const clients = randomClients(run, count, () => rank);
    const { weight, delta } = productRound(run, clients);
    expect(relativeDifference(weight, meanProduct(run, clients))).toBeLessThan(1e-6);
    const columns = (count - 1) * rank;
    const isDense = columns * (dIn + dOut) > dIn * dOut;
    expect([...delta.keys()].sort()).toEqual(isDense ? [keys.dense] : [keys.a, keys.b]);
    if (!isDense) expect(delta.get(keys.b)!.shape).toEqual([dOut, columns]);
  });

  test.each([2, 12])("behind a server optimizer the residual is against what it sends, %i clients", (count) => {
    const run: ProductRun = { method: "fedex-lora", dOut: 40, rank: 3, dIn: 30, scaling: 2 };
    const clients = randomClients(run, count, () => 3);
    const serverStep = (aggregated: StateDict): StateDict =>
      toStateDict(
        [...aggregated].map(([name, tensor]) => [
          name,
          fromFloat32(
            toFloat32(tensor).map((x, i) => 0.3 * x + Math.sin(i)),
            tensor.shape,
          ),
        ]),
      );
    const { weight } = productRound(run, clients, { serverStep });
    expect(relativeDifference(weight, meanProduct(run, clients))).toBeLessThan(1e-6);
  });
});

describe("the rank of the residual", () => {
  const run: ProductRun = { method: "fedex-lora", dOut: 30, rank: 2, dIn: 25, scaling: 2 };
  const clients = randomClients(run, 3, () => 2);
  const residual = (): ReturnType<typeof dense> => {
    const { a, b } = productRound(run, clients);
    const sent = dense(30, 25, (i, j) => 2 * (b[i * 2]! * a[j]! + b[i * 2 + 1]! * a[25 + j]!));
    return plus(meanProduct(run, clients), times(-1, sent));
  };
  const singularValues = ({ rows, columns, values: flat }: ReturnType<typeof dense>): Float64Array =>
    smallSvd({
      rows,
      columns,
      values: Float64Array.from(flat, (_, at) => flat[(at % rows) * columns + Math.floor(at / rows)]!),
    }).s;

  test("G21: is (m - 1) r, and that is what is sent", () => {
    const s = singularValues(residual());
    expect(s[3]! / s[0]!).toBeGreaterThan(0.01);
    expect(s[4]! / s[0]!).toBeLessThan(1e-6);
    expect(productRound(run, clients).delta.get(keys.a)!.shape).toEqual([4, 25]);
  });

  test.each([1, 2, 3])(
    "G22: cut to %i, the error is the norm of the other singular values, and is reported",
    (truncate) => {
      const { weight, delta, metrics } = productRound({ ...run, options: { truncate } }, clients);
      expect(delta.get(keys.a)!.shape).toEqual([truncate, 25]);
      const tail = tailNorm(singularValues(residual()), truncate);
      const left = plus(weight, times(-1, meanProduct(run, clients)));
      expect(Math.sqrt(left.values.reduce((sum, x) => sum + x * x, 0)) / tail).toBeCloseTo(1, 5);
      expect(metrics["truncationError"]! / tail).toBeCloseTo(1, 5);
    },
  );

  test.each([4, 100])("G22: cut to %i, nothing is left out", (truncate) => {
    const { weight, metrics } = productRound({ ...run, options: { truncate } }, clients);
    expect(relativeDifference(weight, meanProduct(run, clients))).toBeLessThan(1e-6);
    expect(metrics["truncationError"]).toBe(0);
  });
});

test("an edited base is remembered, and never exports as a plain adapter", () => {
  const method = productMethod(f1);
  const { result } = productRound(f1, f1Clients, { baseVersion: 3 });
  expect(result.baseDelta).toEqual({ fromVersion: 3, toVersion: 4 });
  expect(method.exports(result.state)).toEqual(["stacked", "truncated", "merged"]);
  const next = productRound(f1, [f1Clients[0]!], { state: result.state });
  expect(method.exports(next.result.state)).toEqual(["stacked", "truncated", "merged"]);
});

test("the bytes of a base delta follow the closed form (m - 1) r (dIn + dOut), at most dIn dOut", () => {
  const method = productMethod({ method: "fedex-lora", dOut: 300, rank: 4, dIn: 200 });
  expect(method.baseDeltaBytes!(1)).toBe(0);
  expect(method.baseDeltaBytes!(10)).toBe(4 * 9 * 4 * 500);
  expect(method.baseDeltaBytes!(1000)).toBe(4 * 300 * 200);
  const stepped = {
    method: "fedex-lora",
    dOut: 300,
    rank: 4,
    dIn: 200,
    spec: { serverOptimizer: { kind: "fedadam" as const } },
  };
  expect(productMethod(stepped).baseDeltaBytes!(10)).toBe(4 * 11 * 4 * 500);
});

test("a product beyond float32 fails the round", () => {
  const huge = { weight: 1, a: [1e30, 0], b: [1e30, 0] };
  expect(() => productRound(f1, [huge, f1Clients[1]!])).not.toThrow();
  expect(() => productRound({ ...f1, scaling: 1e10 }, [{ ...huge, a: [1e38, 0] }, f1Clients[1]!])).toThrow(
    "beyond float32",
  );
});
