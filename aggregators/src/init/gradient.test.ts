import { adapterKeys, adapterSchema, canonicalLayout, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { ClientId, StateDict, TensorLayout } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, Method } from "../method.js";
import { orthonormalityError } from "../primitive/orthonormality.js";
import { dense, denseOf, product, transposed } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { aggregateInMemory, memoryUpdate, testSpec } from "../testing/memory.js";
import { filled } from "../testing/round-fixture.js";

interface Case {
  readonly name: string;
  readonly dOut: number;
  readonly dIn: number;
  readonly rank: number;
  readonly sign: boolean;
  readonly step: number;
  readonly weights: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly singularValues: readonly number[];
  readonly best: readonly number[];
  readonly leftOut: number;
  readonly gradientNorm: number;
}
const golden = JSON.parse(readFileSync(new URL("../../../testdata/init/golden.json", import.meta.url), "utf8")) as {
  readonly gradients: readonly Case[];
};

const keys = adapterKeys("m");
const scaling = 1.6;

interface Shape {
  readonly dOut: number;
  readonly dIn: number;
  readonly rank: number;
}
const layoutOf = ({ dOut, dIn, rank }: Shape): TensorLayout =>
  canonicalLayout([
    { name: keys.a, dtype: "F32", shape: [rank, dIn] },
    { name: keys.b, dtype: "F32", shape: [dOut, rank] },
    { name: keys.r, dtype: "F32", shape: [rank, rank] },
  ]);

function methodOf(shape: Shape, { sign, step, seed = 0 }: { sign: boolean; step: number; seed?: number }): Method {
  const adapter = adapterSchema.parse({
    rank: shape.rank,
    variant: "latent",
    targetModules: ["m"],
    init: { kind: "gradient", sign, step },
  });
  const spec = testSpec({ method: { name: "fed-sb", options: {} }, adapter, rounds: 2, training: { seed } });
  return compileMethod({ spec, adapterLayout: layoutOf(shape), scalings: { m: scaling } });
}

/** What clients with these dense gradients send, after what they download. */
function initialise(method: Method, shape: Shape, gradients: readonly Dense[], weights: readonly number[]) {
  const state = method.initialState();
  const client = { clientId: "c" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
  const instruction = method.prepare("initialise", state, client);
  const global = filled(layoutOf(shape), 0);
  const download = method.projectFor(instruction, global, state);
  const [omegaT, psiT] = [denseOf(download.get(keys.a)!), denseOf(download.get(keys.b)!)];
  const updates = gradients.map((gradient, k) => {
    const [range, coRange] = [product(gradient, transposed(omegaT)), product(transposed(psiT), gradient)];
    const tensors = toStateDict([
      [keys.a, tensorOf(coRange)],
      [keys.b, tensorOf(range)],
    ]);
    return memoryUpdate(`plan-${k}`, weights[k]!, tensors);
  });
  return { size: omegaT.rows, result: adapterOf(aggregateInMemory(method, global, updates, { state })) };
}

const tensorOf = ({ rows, columns, values }: Dense) => fromFloat32(Float32Array.from(values), [rows, columns]);
const adapterOf = (result: AggregationResult): Extract<AggregationResult, { kind: "adapter" }> => {
  if (result.kind === "refused") throw new Error(result.message);
  return result;
};
const matrixOf = ({ dOut, dIn }: Shape, values: readonly number[]): Dense =>
  dense(dOut, dIn, (row, column) => values[row * dIn + column]!);
const change = (global: StateDict): Dense => {
  const [a, b, r] = [keys.a, keys.b, keys.r].map((name) => denseOf(global.get(name)!)) as [Dense, Dense, Dense];
  return product(product(b, r), a);
};
const norm = ({ values }: Dense): number => Math.hypot(...values);
const distance = (x: Dense, y: Dense): number => Math.hypot(...x.values.map((value, i) => value - y.values[i]!));

describe.each(golden.gradients)("$name", (row) => {
  const gradients = row.gradients.map((values) => matrixOf(row, values));
  const { result } = initialise(methodOf(row, row), row, gradients, row.weights);
  const { global, metrics } = result;

  test("B R A times the scaling is numpy's best approximation of the simulated first step", () => {
    const wanted = matrixOf(row, row.best);
    const got = change(global);

    expect(distance({ ...got, values: got.values.map((x) => scaling * x) }, wanted) / norm(wanted)).toBeLessThan(1e-4);
    const core = toFloat32(global.get(keys.r)!);
    core.forEach((value, i) => {
      const expected = i % (row.rank + 1) === 0 ? (row.singularValues[i / (row.rank + 1)] ?? 0) / scaling : 0;
      expect(Math.abs(value - expected)).toBeLessThan(1e-4 * row.singularValues[0]!);
    });
  });

  test("the frozen factors are orthonormal as they are sent, and the metrics say what was left out", () => {
    expect(orthonormalityError(global)).toBeLessThan(1e-6);
    expect(metrics["orthonormality"]).toBe(orthonormalityError(global));
    expect(metrics["leftOut"]).toBeCloseTo(row.leftOut, 3);
    expect(metrics["sketchError"]).toBeLessThan(1e-5);
    expect(metrics).toMatchObject({ contributors: row.weights.length, totalWeight: sum(row.weights) });
  });
});

test("G20: the signs of [[3, -1], [-2, 0.5]] are of rank 1, and their step is met exactly", () => {
  const shape = { dOut: 2, dIn: 2, rank: 1 };
  const g = matrixOf(shape, [3, -1, -2, 0.5]);

  const { global } = initialise(methodOf(shape, { sign: true, step: 0.1 }), shape, [g], [1]).result;

  expect(scaling * toFloat32(global.get(keys.r)!)[0]!).toBeCloseTo(0.2, 6);
  const expected = [-0.1, 0.1, 0.1, -0.1];
  change(global).values.forEach((value, i) => expect(scaling * value).toBeCloseTo(expected[i]!, 6));
});

describe("a gradient of full rank", () => {
  const shape = { dOut: 60, dIn: 45, rank: 4 };
  const noise = (seed: number): Dense =>
    dense(60, 45, (row, column) => {
      const wave = (k: number) => Math.sin(seed + k * 1.7 * row) * Math.cos(seed + k * 2.3 * column);
      return (
        wave(1) +
        0.6 * wave(2) +
        0.3 * wave(3) +
        0.1 * wave(4) +
        0.02 * Math.sin(seed * 7.3 + row * 45 + column * column)
      );
    });

  test("is sketched at twice the rank plus one, and the error is about what the metric says", () => {
    const estimates: number[] = [];
    const errors: number[] = [];
    for (let seed = 0; seed < 20; seed++) {
      const g = noise(seed);
      const { size, result } = initialise(methodOf(shape, { sign: false, step: 1, seed }), shape, [g], [1]);
      expect(size).toBe(9);
      const got = change(result.global);
      const back = { ...got, values: got.values.map((x) => -scaling * x) };
      errors.push(distance(back, g) / norm(g));
      estimates.push(result.metrics["sketchError"]!);
      expect(result.metrics["gradientNorm"]! / norm(g)).toBeGreaterThan(0.3);
    }
    const mean = (values: number[]): number => sum(values) / values.length;
    expect(mean(errors)).toBeGreaterThan(0);
    expect(mean(estimates) / mean(errors)).toBeGreaterThan(0.5);
    expect(mean(estimates) / mean(errors)).toBeLessThan(2);
  });

  test("is the mean of the clients' by weight: another weight is another start", () => {
    const method = methodOf(shape, { sign: false, step: 1 });
    const gradients = [noise(1), noise(2)];

    const weighted = initialise(method, shape, gradients, [1, 3]).result.global;
    const scaled = initialise(method, shape, gradients, [2, 6]).result.global;
    const even = initialise(method, shape, gradients, [1, 1]).result.global;

    expect(scaled).toEqual(weighted);
    expect(even).not.toEqual(weighted);
  });
});

test("a gradient of fewer directions than the rank: the rest is orthonormal all the same, and R is zero there", () => {
  const shape = { dOut: 12, dIn: 10, rank: 3 };
  const g = dense(12, 10, (row, column) => (row % 2 === 0 ? 1 : -1) * (column < 4 ? 1 : -1));

  const { global } = initialise(methodOf(shape, { sign: true, step: 0.5 }), shape, [g], [1]).result;

  expect(orthonormalityError(global)).toBeLessThan(1e-6);
  const r = [...toFloat32(global.get(keys.r)!)];
  expect(r[0]! * scaling).toBeCloseTo(0.5 * Math.sqrt(120), 4);
  expect(r.slice(1).map((x) => Math.abs(x))).toEqual(new Array(8).fill(0));
});

test("after it the method trains R alone, against the factors found", () => {
  const shape = { dOut: 12, dIn: 10, rank: 3 };
  const method = methodOf(shape, { sign: true, step: 0.5 });
  const { global, state } = initialise(method, shape, [dense(12, 10, (i, j) => Math.sin(i * 3 + j))], [1]).result;
  const update = memoryUpdate("a", 1, toStateDict([[keys.r, fromFloat32(new Float32Array(9).fill(0.25), [3, 3])]]));

  const next = adapterOf(aggregateInMemory(method, global, [update], { state, round: 2 }));

  expect(method.phase(state, 2)).toBe("train");
  expect([next.global.get(keys.a), next.global.get(keys.b)]).toEqual([global.get(keys.a), global.get(keys.b)]);
  expect([...toFloat32(next.global.get(keys.r)!)]).toEqual(
    [...toFloat32(global.get(keys.r)!)].map((x) => Math.fround(x + 0.25)),
  );
  expect(method.phase(next.state, 3)).toBe("train");
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
