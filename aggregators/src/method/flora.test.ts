import { baseDeltaKeys, toFloat32 } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { describe, expect, test } from "vitest";
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
const f1: ProductRun = { method: "flora", dOut: 2, rank: 1, dIn: 2, options: { dense: false } };
const f1Clients = [
  { weight: 1, a: [2, 0], b: [1, 0] },
  { weight: 3, a: [0, 4], b: [0, 1] },
];

describe("golden values of fixture F1", () => {
  test("G5: A stacks the weighted rows, B the columns as they are", () => {
    const { delta } = productRound(f1, f1Clients);
    expect(values(delta, keys.a)).toEqual([0.5, 0, 0, 3]);
    expect(values(delta, keys.b)).toEqual([1, 0, 0, 1]);
  });

  test("G24: the scaling is in the stack", () => {
    const { delta, weight } = productRound({ ...f1, scaling: 2 }, f1Clients);
    expect(values(delta, keys.a)).toEqual([1, 0, 0, 6]);
    expect([...weight.values]).toEqual([1, 0, 0, 6]);
  });

  test("G11: the other sign of one client's factors is the same weight", () => {
    const { weight } = productRound({ ...f1, scaling: 2 }, [{ weight: 1, a: [-2, 0], b: [-1, 0] }, f1Clients[1]!]);
    expect([...weight.values]).toEqual([1, 0, 0, 6]);
  });

  test("G12: one client's product is what the base gains", () => {
    expect([...productRound(f1, [f1Clients[1]!]).weight.values]).toEqual([0, 0, 0, 4]);
  });
});

test("G24: the stack has the ranks of those who contributed, however many clients there are", () => {
  const run: ProductRun = {
    method: "flora",
    ...{ dOut: 200, rank: 8, dIn: 150, scaling: 2 },
    spec: { cohort: { size: 50 }, rankPlan: { kind: "capability" } },
    global: { a: numbers(8 * 150, 31), b: new Float32Array(200 * 8) },
  };
  const clients = randomClients(run, 3, (k) => [8, 1, 4][k]!);
  const { delta, weight, metrics } = productRound(run, [...clients, { ...clients[0]!, weight: 0 }]);
  expect(delta.get(keys.a)!.shape).toEqual([13, 150]);
  expect(delta.get(keys.b)!.shape).toEqual([200, 13]);
  expect(metrics).toMatchObject({ contributors: 3, stackedRank: 13 });
  expect(relativeDifference(weight, meanProduct(run, clients))).toBeLessThan(1e-6);
});

describe("exactness against dense products", () => {
  test.each([
    ["rank 64, 2 clients", 64, 2, 200, 150],
    ["mixed ranks, 100 clients, dense", 16, 100, 60, 70],
    ["rank 1, 100 clients", 1, 100, 250, 300],
  ])("%s", (_, rank, count, dOut, dIn) => {
    const run: ProductRun = { method: "flora", dOut, rank, dIn, scaling: 0.5 };
    const clients = randomClients(run, count, (k) => Math.max(1, rank >> (k % 5)));
    const { weight, delta } = productRound(run, clients);
    expect(relativeDifference(weight, meanProduct(run, clients))).toBeLessThan(1e-6);
    const columns = clients.reduce((sum, client) => sum + client.rank!, 0);
    expect(delta.has(keys.dense)).toBe(columns * (dIn + dOut) > dIn * dOut);
  });
});

describe("after the round all start again", () => {
  const run: ProductRun = { method: "flora", dOut: 5, rank: 2, dIn: 4 };
  const clients = randomClients(run, 2, () => 2);
  const start = (round: number, seed = 0): number[] => {
    const { a, b } = productRound({ ...run, spec: { training: { seed } } }, clients, { round });
    expect([...b]).toEqual(Array.from({ length: 10 }, () => 0));
    expect(a.every((x) => Math.abs(x) <= 0.5 && x !== 0)).toBe(true);
    return [...a];
  };

  test("with A from the run's seed and the round, and B zero", () => {
    expect(start(1)).toEqual(start(1));
    expect(start(1)).not.toEqual(start(2));
    expect(start(1)).not.toEqual(start(1, 7));
  });
});

test("the base is edited, so a plain adapter is not exported", () => {
  const { result } = productRound(f1, f1Clients, { baseVersion: 1 });
  expect(result.baseDelta).toEqual({ fromVersion: 1, toVersion: 2 });
  const method = productMethod(f1);
  expect(method.exports(result.state)).toEqual(["stacked", "truncated", "merged"]);
  expect(method.exports(method.initialState())).toEqual(["peft", "truncated", "merged"]);
});

test("the bytes of a base delta follow the closed form m r (dIn + dOut), or dIn dOut where that is less", () => {
  const sizes = { method: "flora", dOut: 300, rank: 4, dIn: 200 };
  expect(productMethod(sizes).baseDeltaBytes!(10)).toBe(4 * 10 * 4 * 500);
  expect(productMethod(sizes).baseDeltaBytes!(100)).toBe(4 * 300 * 200);
  expect(productMethod({ ...sizes, options: { dense: false } }).baseDeltaBytes!(100)).toBe(4 * 100 * 4 * 500);
});
