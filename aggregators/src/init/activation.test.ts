import { adapterKeys, adapterSchema, canonicalLayout, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { Method } from "../method.js";
import { dense, denseOf, product } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { aggregateInMemory, memoryUpdate, stateOf, testSpec } from "../testing/memory.js";

interface Case {
  readonly name: string;
  readonly dIn: number;
  readonly rank: number;
  readonly weights: readonly number[];
  readonly moments: readonly (readonly number[])[];
  readonly eigenvalues: readonly number[];
  readonly directions: readonly number[];
}
const golden = JSON.parse(readFileSync(new URL("../../../testdata/init/golden.json", import.meta.url), "utf8")) as {
  readonly inputs: readonly Case[];
};

const keys = adapterKeys("m");
const dOut = 4;
const layoutOf = (dIn: number, rank: number): TensorLayout =>
  canonicalLayout([
    { name: keys.a, dtype: "F32", shape: [rank, dIn] },
    { name: keys.b, dtype: "F32", shape: [dOut, rank] },
  ]);

function methodOf(dIn: number, rank: number, iterations: number): Method {
  const adapter = adapterSchema.parse({ rank, targetModules: ["m"], init: { kind: "activation", iterations } });
  const spec = testSpec({ adapter, rounds: iterations + 1 });
  return compileMethod({ spec, adapterLayout: layoutOf(dIn, rank), scalings: { m: 2 } });
}

/** Clients with these second moments, for all rounds of the initialisation. */
function initialise(
  dIn: number,
  rank: number,
  iterations: number,
  moments: readonly Dense[],
  weights: readonly number[],
) {
  const method = methodOf(dIn, rank, iterations);
  let global: StateDict = stateOf(layoutOf(dIn, rank), {
    [keys.a]: Array.from({ length: rank * dIn }, (_, i) => Math.sin(2.1 * i + 1)),
    [keys.b]: new Float32Array(dOut * rank),
  });
  let state = method.initialState();
  const changes: number[] = [];
  for (let round = 1; method.phase(state, round) === "initialise"; round++) {
    const updates = moments.map((moment, k) => {
      const { rows, columns, values } = product(denseOf(global.get(keys.a)!), moment);
      const sketch = fromFloat32(Float32Array.from(values), [rows, columns]);
      return memoryUpdate(`plan-${k}`, weights[k]!, toStateDict([[keys.a, sketch]]));
    });
    const result = aggregateInMemory(method, global, updates, { state, round });
    if (result.kind === "refused") throw new Error(result.message);
    ({ global, state } = result);
    changes.push(result.metrics["subspaceChange"]!);
  }
  return { global, changes };
}

describe.each(golden.inputs)("$name", ({ dIn, rank, weights, moments, directions }) => {
  const matrices = moments.map((values) => dense(dIn, dIn, (row, column) => values[row * dIn + column]!));

  test("A becomes the leading eigenvectors of the weighted mean of X^T X, in order", () => {
    const { global, changes } = initialise(dIn, rank, 20, matrices, weights);

    const a = toFloat32(global.get(keys.a)!);
    for (let k = 0; k < rank; k++) {
      const wanted = directions.slice(k * dIn, (k + 1) * dIn);
      const inner = wanted.reduce((total, value, i) => total + value * a[k * dIn + i]!, 0);
      expect(Math.abs(inner)).toBeCloseTo(1, 5);
      const row = [...a.slice(k * dIn, (k + 1) * dIn)];
      expect(Math.max(...row)).toBeGreaterThanOrEqual(-Math.min(...row));
    }
    expect(changes[0]).toBe(1);
    expect(changes.at(-1)).toBeLessThan(1e-6);
    expect(toFloat32(global.get(keys.b)!).every((value) => value === 0)).toBe(true);
  });

  test("every round leaves the rows orthonormal", () => {
    const a = denseOf(initialise(dIn, rank, 1, matrices, weights).global.get(keys.a)!);
    const products = product(
      a,
      dense(dIn, rank, (row, column) => a.values[column * dIn + row]!),
    );

    products.values.forEach((value, i) => expect(value).toBeCloseTo(i % (rank + 1) === 0 ? 1 : 0, 6));
  });
});

test("inputs of fewer directions than the rank, and a rank above the width, leave finite rows", () => {
  const oneDirection = dense(5, 5, (row, column) => (row === 2 && column === 2 ? 3 : 0));

  const { global } = initialise(5, 7, 2, [oneDirection], [1]);

  const a = denseOf(global.get(keys.a)!);
  expect(a.values.every(Number.isFinite)).toBe(true);
  expect(Math.abs(a.values[2]!)).toBeCloseTo(1, 6);
  for (let k = 0; k < 5; k++) expect(Math.hypot(...a.values.slice(k * 5, (k + 1) * 5))).toBeCloseTo(1, 6);
  expect(a.values.at(-1)).toBeCloseTo(Math.sin(2.1 * 34 + 1), 6);
});
