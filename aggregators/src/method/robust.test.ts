import { RandomStream, randomKey, toFloat32 } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columnMatrix, multiply } from "../linalg/column-matrix.js";
import type { MethodDefinition } from "../method.js";
import { aggregateInMemory } from "../testing/memory.js";
import { compileOn, factors, nameA, nameB, oneModule, roundOn, updatesOn, valuesOf } from "../testing/one-module.js";
import type { FactorUpdate } from "../testing/one-module.js";
import { bulyan } from "./bulyan.js";
import { centredClipping } from "./centred-clipping.js";
import { coordinateMedian } from "./coordinate-median.js";
import { krum } from "./krum.js";
import { multiKrum } from "./multi-krum.js";
import { normBound } from "./norm-bound.js";
import { trimmedMean } from "./trimmed-mean.js";

const crowd = { cohort: { size: 50, quorum: 20 } };
const rules: readonly (readonly [string, MethodDefinition, Record<string, unknown>])[] = [
  ["krum", krum, { byzantine: 1 }],
  ["multi-krum", multiKrum, { byzantine: 1, selected: 4 }],
  ["norm-bound", normBound, { bound: 2 }],
  ["centred-clipping", centredClipping, { bound: 1 }],
  ["trimmed-mean", trimmedMean, { trim: 0.2 }],
  ["coordinate-median", coordinateMedian, {}],
  ["bulyan", bulyan, { byzantine: 1 }],
];

const [dOut, rank, dIn] = [5, 2, 4];
const layout = oneModule(dOut, rank, dIn);
const productOf = (adapter: StateDict): number[] => {
  const a = columnMatrix(dIn, rank, Float64Array.from(toFloat32(adapter.get(nameA)!)));
  const rows = toFloat32(adapter.get(nameB)!);
  const b = columnMatrix(dOut, rank);
  rows.forEach((value, i) => (b.values[(i % rank) * dOut + Math.floor(i / rank)] = value));
  const at = columnMatrix(rank, dIn);
  a.values.forEach((value, i) => (at.values[(i % dIn) * rank + Math.floor(i / dIn)] = value));
  return [...multiply(b, at).values];
};
const pair = (stream: RandomStream): { a: number[]; b: number[] } => {
  const matrix = (size: number): number[] =>
    Array.from(stream.uniforms(size, -1, 1), (value) => Math.round(value * 4096) / 4096);
  return { a: matrix(rank * dIn), b: matrix(dOut * rank) };
};
/**
 * A global adapter and clients at random from a seed, not element by element: with equal distances, which shrunk values have,
 * a rule that selects may take either, and rounding says which.
 */
const federation = fc.tuple(fc.integer({ min: 0 }), fc.integer({ min: 7, max: 9 })).map(([seed, clients]) => {
  const stream = new RandomStream(randomKey(seed));
  return { global: pair(stream), own: Array.from({ length: clients }, () => pair(stream)) };
});
/** What the client holds after training, as its change. */
const changeFrom = (global: { a: number[]; b: number[] }, own: { a: number[]; b: number[] }): FactorUpdate => ({
  a: own.a.map((value, i) => value - global.a[i]!),
  b: own.b.map((value, i) => value - global.b[i]!),
});

describe.each(rules)("%s", (_, definition, options) => {
  const method = compileOn(layout, definition, options, crowd);

  test("is not moved by clients that scale A by c and B by 1 / c, or turn both", () => {
    const scalings = fc.array(fc.constantFrom(1, -1, 8, 1 / 8, 1024, 1 / 1024), { minLength: 9, maxLength: 9 });
    fc.assert(
      fc.property(federation, scalings, ({ global, own }, scales) => {
        const plain = own.map((one) => changeFrom(global, one));
        // Powers of two, so that the product has the same bits; and the two ranks exchanged.
        const gamed = own.map(({ a, b }, k) =>
          changeFrom(global, {
            a: [...a.slice(dIn), ...a.slice(0, dIn)].map((value) => scales[k]! * value),
            b: b.map((__, i) => b[i - (i % rank) + ((i + 1) % rank)]! / scales[k]!),
          }),
        );
        const [expected, actual] = [plain, gamed].map((updates) =>
          productOf(roundOn(method, layout, global, updates).global),
        );
        const size = Math.max(1, ...expected!.map(Math.abs));
        actual!.forEach((value, i) => expect(Math.abs(value - expected![i]!)).toBeLessThan(1e-4 * size));
      }),
      { numRuns: 40 },
    );
  });

  test("makes the same of the same updates, whatever their order and sharding, on larger modules", () => {
    const wide = oneModule(48, 4, 64);
    const values = (size: number, seed: number): number[] =>
      Array.from({ length: size }, (__, i) => Math.fround(Math.sin((i + 1) * (seed + 1)) / 3));
    const list = Array.from({ length: 9 }, (__, k) => ({ weight: k + 1, a: values(256, k), b: values(192, k + 20) }));
    const global = { a: values(256, 50), b: values(192, 60) };
    const onWide = compileOn(wide, definition, options, crowd);
    const views = updatesOn(wide, list);
    const state = factors(wide, global);

    const expected = aggregateInMemory(onWide, state, views);
    expect(expected.kind).toBe("adapter");
    expect(aggregateInMemory(onWide, state, views.toReversed())).toEqual(expected);
    expect(aggregateInMemory(onWide, state, views, { shards: 3 })).toEqual(expected);
  });

  test("reports what the rank leaves out", () => {
    const own = Array.from({ length: 7 }, (__, k) => ({
      a: Array.from({ length: rank * dIn }, (___, i) => Math.cos(i * i * (k + 1))),
      b: Array.from({ length: dOut * rank }, (___, i) => Math.sin(i * i + 3 * k * i + k)),
    }));
    const global = { a: Array<number>(rank * dIn).fill(0.5), b: Array<number>(dOut * rank).fill(0) };
    const { metrics } = roundOn(method, layout, global, own);

    expect(metrics["contributors"]).toBe(7);
    if (definition.name === "krum") expect(metrics["truncationError"]).toBe(0);
    else expect(metrics["truncationError"]).toBeGreaterThan(1e-3);
    expect(metrics["truncationShare"]).toBeLessThan(1);
  });
});

describe("G32: golden values of one-element products", () => {
  const scalar = oneModule(1, 1, 1);
  const five = [0, 0.1, 0.25, 0.3, 10].map((b) => ({ a: [0], b: [b] }));
  const result = (
    definition: MethodDefinition,
    options: Record<string, unknown>,
    factor: string,
    list = five,
  ): number => {
    const method = compileOn(scalar, definition, { ...options, factor }, crowd);
    const sent = factor === "b" ? list.map(({ b }) => ({ b })) : list;
    const { global } = roundOn(method, scalar, { a: [1], b: [0] }, sent);
    return valuesOf(global, nameA)[0]! * valuesOf(global, nameB)[0]!;
  };

  test.each(["both", "b"])("factor %s", (factor) => {
    expect(result(krum as MethodDefinition, { byzantine: 1 }, factor)).toBeCloseTo(0.25, 7);
    expect(result(multiKrum as MethodDefinition, { byzantine: 1, selected: 3 }, factor)).toBeCloseTo(0.2166666667, 6);
    expect(result(multiKrum as MethodDefinition, { byzantine: 1 }, factor)).toBeCloseTo(0.25, 6);
    expect(result(trimmedMean as MethodDefinition, { trim: 0.2 }, factor)).toBeCloseTo(0.2166666667, 6);
    expect(result(trimmedMean as MethodDefinition, { trim: 0 }, factor)).toBeCloseTo(2.13, 6);
    expect(result(coordinateMedian as MethodDefinition, {}, factor)).toBeCloseTo(0.25, 6);
    // The scaling is 2: a change of 10 has norm 20 and shrinks to a norm of 1.
    expect(result(normBound as MethodDefinition, { bound: 1 }, factor)).toBeCloseTo((0.65 + 0.5) / 5, 6);
  });
});

describe("too few updates", () => {
  const one = [{ a: [0], b: [1] }];
  const scalar = oneModule(1, 1, 1);
  const cohort = (size: number, quorum?: number) => ({ cohort: { size, ...(quorum !== undefined && { quorum }) } });

  test.each([
    [krum as MethodDefinition, 5],
    [multiKrum as MethodDefinition, 5],
    [bulyan as MethodDefinition, 7],
  ])("$name refuses a run whose rounds could not be defended, and a round that cannot", (definition, needed) => {
    const compile = (size: number, quorum?: number) => compileOn(scalar, definition, {}, cohort(size, quorum));
    const refusal = (field: string): unknown =>
      expect.objectContaining({ code: "spec-combination-refused", details: { method: definition.name, field } });

    expect(() => compile(needed - 1)).toThrow(refusal("cohort.size"));
    expect(() => compile(needed, needed - 1)).toThrow(refusal("cohort.quorum"));
    const method = compile(needed, needed);
    const round = (count: number) =>
      aggregateInMemory(
        method,
        factors(scalar, { a: [1], b: [0] }),
        updatesOn(scalar, Array<FactorUpdate>(count).fill(one[0]!)),
      );
    expect(round(needed).kind).toBe("adapter");
    expect(round(needed - 1)).toMatchObject({
      kind: "refused",
      code: "round-failed",
      message: expect.stringContaining(`needs ${needed}`),
    });
  });

  test.each([normBound, centredClipping, trimmedMean, coordinateMedian])("$name works with one", (definition) => {
    const method = compileOn(scalar, definition, {}, cohort(1));

    expect(aggregateInMemory(method, factors(scalar, { a: [1], b: [0] }), updatesOn(scalar, one)).kind).toBe("adapter");
  });
});

test("an update whose factors cancel each other is left out, not trusted", () => {
  // B A = 0.5 for everybody; one client hides it in 1e9 * 1e9 - 1e9 * 1e9.
  const two = oneModule(1, 2, 1);
  const honest = [0.4, 0.5, 0.6, 0.5, 0.45].map((b) => ({ a: [0, 0], b: [b, 0] }));
  const hostile = { a: [1e9 - 1, 1e9], b: [1e9, -1e9] };
  const method = compileOn(two, multiKrum, { selected: 5 }, { cohort: { size: 6, quorum: 6 } });
  const { global, metrics } = roundOn(method, two, { a: [1, 0], b: [0, 0] }, [hostile, ...honest]);

  expect(metrics).toMatchObject({ leftOut: 1, selected: 5, contributors: 6 });
  const [a, b] = [valuesOf(global, nameA), valuesOf(global, nameB)];
  expect(a[0]! * b[0]! + a[1]! * b[1]!).toBeCloseTo(0.49, 6);
});
