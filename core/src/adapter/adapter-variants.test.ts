import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { adapterSchema, taskSchema } from "../run-spec/schema.js";
import type { AdapterSpec } from "../run-spec/schema.js";
import { toStateDict } from "../tensor/state-dict.js";
import type { StateDict, Tensor } from "../tensor/tensor.js";
import { fromFloat32, toFloat32 } from "../tensor/values.js";
import { initialAdapter } from "./initial-adapter.js";
import { adapterKeys, adapterLayout, resolveAdapter } from "./lora-config.js";
import { fromPeftFiles, toPeftFiles } from "./peft-format.js";
import { plainLora } from "./plain-lora.js";

interface Golden {
  readonly a: number[][];
  readonly b: number[][];
  readonly lambda_d: number[];
  readonly lambda_b: number[];
  readonly x: number[][];
  readonly delta: number[][];
  readonly fresh: { readonly d: number[]; readonly b: number[] };
  readonly largest: Readonly<Record<string, number>>;
}
const vera = JSON.parse(
  readFileSync(new URL("../../../testdata/core/vera/golden.json", import.meta.url), "utf8"),
) as Golden;

const linear = (name: string, dIn: number, dOut: number) => ({ name, kind: "linear" as const, layer: 0, dIn, dOut });
const modules = [linear("one.query", 96, 128), linear("two.query", 96, 128), linear("one.value", 96, 40)];
const resolve = (fields: Partial<AdapterSpec>, list = modules) =>
  resolveAdapter(
    adapterSchema.parse({ rank: 64, targetModules: ["query", "value"], rankPattern: { value: 8 }, ...fields }),
    { modules: list, heads: [{ name: "classifier", kind: "linear", dIn: 96, dOut: null, bias: true }] },
    taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b"] }),
  );
const matrix = (rows: readonly (readonly number[])[]): Tensor =>
  fromFloat32(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
const vector = (values: readonly number[]): Tensor => fromFloat32(Float32Array.from(values), [values.length]);
const valuesOf = (state: StateDict, name: string): Float32Array => toFloat32(state.get(name)!);

describe.each(["lora", "latent", "vera"] as const)("variant %s", (variant) => {
  const resolved = resolve({ variant });

  test("starts with exactly its layout, the same for a seed and another for another", () => {
    const start = initialAdapter(resolved, 3);

    expect([...start].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))).toEqual(adapterLayout(resolved));
    expect(initialAdapter(resolved, 3)).toEqual(start);
    expect(initialAdapter(resolved, 4)).not.toEqual(start);
  });

  test("starts as the base model, and a module's values do not depend on the others", () => {
    const start = initialAdapter(resolved, 3);
    const alone = initialAdapter(resolve({ variant, targetModules: ["query"], rankPattern: {} }), 3);

    for (const { name } of modules) {
      const { b } = adapterKeys(name);
      expect(Math.max(...valuesOf(plainLora(start), b).map(Math.abs))).toBe(0);
    }
    for (const [name, tensor] of alone) expect(tensor).toEqual(start.get(name));
  });
});

test("a latent adapter's rows of A and columns of B are orthonormal after the cast, and no two modules share them", () => {
  const start = initialAdapter(resolve({ variant: "latent" }), 3);
  const gramError = (values: Float32Array, rank: number, at: (k: number, i: number) => number, length: number) => {
    let error = 0;
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q < rank; q++) {
        let sum = p === q ? -1 : 0;
        for (let i = 0; i < length; i++) sum += values[at(p, i)]! * values[at(q, i)]!;
        error = Math.max(error, Math.abs(sum));
      }
    }
    return error;
  };

  for (const { name, rank, dIn, dOut } of resolve({ variant: "latent" }).modules) {
    const { a, b } = adapterKeys(name);
    expect(gramError(valuesOf(start, a), rank, (k, i) => k * dIn + i, dIn)).toBeLessThan(1e-6);
    expect(gramError(valuesOf(start, b), rank, (k, i) => i * rank + k, dOut)).toBeLessThan(1e-6);
  }
  expect(start.get(adapterKeys("one.query").a)).not.toEqual(start.get(adapterKeys("two.query").a));
});

test("a latent rank above a module's smaller side is refused by the module's name", () => {
  expect(() => resolve({ variant: "latent", rankPattern: {} })).toThrow(
    expect.objectContaining({ code: "spec-invalid", message: expect.stringContaining('"one.value" [40, 96]') }),
  );
  expect(resolve({ variant: "lora", rankPattern: {} }).modules).toHaveLength(3);
});

test.each(["latent", "vera"] as const)("PEFT's files hold a %s adapter as plain LoRA", (variant) => {
  const spec = adapterSchema.parse({ rank: 8, targetModules: ["query"], variant, modulesToSave: [] });
  const task = taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b"] });
  const manifest = { modules, heads: [] };
  const resolved = resolveAdapter(spec, manifest, task);
  const tensors = initialAdapter(resolved, 1);

  const files = toPeftFiles({ spec, resolved, tensors }, task);

  expect(fromPeftFiles(files, manifest, task).tensors).toEqual(plainLora(tensors));
});

describe("VeRA is PEFT's", () => {
  test("in what a layer adds", () => {
    const { a, b, scaleRank, scaleOut } = adapterKeys("m");
    const adapter = toStateDict([
      [a, matrix(vera.a)],
      [b, matrix(vera.b)],
      [scaleRank, vector(vera.lambda_d)],
      [scaleOut, vector(vera.lambda_b)],
    ]);

    const plain = plainLora(adapter);

    const up = valuesOf(plain, b);
    const rank = vera.a.length;
    vera.x.forEach((row, n) => {
      const down = vera.a.map((weights) => weights.reduce((sum, w, i) => sum + w * row[i]!, 0));
      vera.delta[n]!.forEach((expected, out) => {
        const got = down.reduce((sum, value, k) => sum + up[out * rank + k]! * value, 0);
        expect(got).toBeCloseTo(expected, 5);
      });
    });
  });

  test("in how it starts: bounds of A and B, 0.1 and 0, equal shapes sharing their factors", () => {
    const start = initialAdapter(resolve({ variant: "vera" }), 3);
    const [one, two] = [adapterKeys("one.query"), adapterKeys("two.query")];
    const largest = (name: string): number => Math.max(...valuesOf(start, name).map(Math.abs));

    expect(largest(one.a) / vera.largest["64x96"]!).toBeCloseTo(1, 2);
    expect(largest(one.b) / vera.largest["128x64"]!).toBeCloseTo(1, 2);
    for (const x of vera.fresh.d) expect(valuesOf(start, one.scaleRank)[0]).toBeCloseTo(x, 6);
    expect(new Set([...vera.fresh.b, ...valuesOf(start, one.scaleOut)])).toEqual(new Set([0]));
    expect(start.get(one.a)).toEqual(start.get(two.a));
    expect(start.get(one.b)).toEqual(start.get(two.b));
  });
});

test("an adapter that lacks a tensor is refused by its name", () => {
  const { b, scaleOut } = adapterKeys("m");
  const broken = toStateDict([
    [b, matrix(vera.b)],
    [scaleOut, vector(vera.lambda_b)],
  ]);

  expect(() => plainLora(broken)).toThrow(
    expect.objectContaining({ code: "adapter-invalid", message: expect.stringContaining("vera_lambda_d") }),
  );
});
