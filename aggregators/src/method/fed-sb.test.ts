import { adapterKeys, adapterLayout, adapterSchema, initialAdapter, resolveAdapter, toFloat32 } from "@fedlora/core";
import { fromFloat32, taskSchema, toStateDict } from "@fedlora/core";
import type { ClientId, StateDict, Tensor } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { ClientCapability, Method } from "../method.js";
import { orthonormalityError } from "../primitive/orthonormality.js";
import { aggregateInMemory, memoryUpdate, testSpec } from "../testing/memory.js";

const module = { name: "m", kind: "linear" as const, layer: 0, dIn: 24, dOut: 40 };
const adapter = adapterSchema.parse({ rank: 6, variant: "latent", targetModules: ["m"], alpha: 9 });
const task = taskSchema.parse({ kind: "causal-lm" });
const resolved = resolveAdapter(adapter, { modules: [module], heads: [] }, task);
const keys = adapterKeys("m");
const start = initialAdapter(resolved, 5);
const method: Method = compileMethod({
  spec: testSpec({ method: { name: "fed-sb", options: {} }, adapter }),
  adapterLayout: adapterLayout(resolved),
  scalings: { m: 1.5 },
});
const client = (ranks?: ClientCapability["ranks"]): ClientCapability => ({
  clientId: "c" as ClientId,
  maxRank: undefined,
  ranks,
  directives: [],
  codecs: [],
});

const matrix = (rows: number, columns: number, at: (row: number, column: number) => number): Tensor =>
  fromFloat32(
    Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
    [rows, columns],
  );
const random = (seed: number, rank = 6): Tensor =>
  matrix(rank, rank, (i, j) => Math.sin(seed * 12.9 + i * 7.1 + j * 3.3));
const updateOf = (id: string, weight: number, r: Tensor) => memoryUpdate(id, weight, toStateDict([[keys.r, r]]));

function aggregate(global: StateDict, updates: ReturnType<typeof updateOf>[], state = method.initialState()) {
  const result = aggregateInMemory(method, global, updates, { state });
  if (result.kind === "refused") throw new Error(result.message);
  return result;
}

/** B R A in float64. */
function product(global: StateDict, r: Tensor): number[] {
  const [a, b, inner] = [global.get(keys.a)!, global.get(keys.b)!, toFloat32(r)].map((t) =>
    t instanceof Float32Array ? t : toFloat32(t),
  ) as [Float32Array, Float32Array, Float32Array];
  const rank = r.shape[0]!;
  return Array.from({ length: module.dOut * module.dIn }, (_, i) => {
    const [row, column] = [Math.floor(i / module.dIn), i % module.dIn];
    let sum = 0;
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q < rank; q++) sum += b[row * 6 + p]! * inner[p * rank + q]! * a[q * module.dIn + column]!;
    }
    return sum;
  });
}

test("only R and heads train and travel, A and B come once by hash", () => {
  const { roles } = method.prepare("train", method.initialState(), client());

  expect(
    roles.map(({ spec, trained, uploaded, downloaded, keep }) => [spec.name, trained, uploaded, downloaded, keep]),
  ).toEqual([
    [keys.a, false, false, false, "none"],
    [keys.b, false, false, false, "none"],
    [keys.r, true, true, true, "none"],
  ]);
  expect(method.bytes(method.prepare("train", method.initialState(), client()))).toEqual({ down: 144, up: 144 });
});

test("G12: one client gives its own R", () => {
  const { global } = aggregate(start, [updateOf("a", 3, random(1))]);

  expect(global.get(keys.r)).toEqual(random(1));
});

test("G19: the mean of the products is the product of the mean, for unequal weights, and A and B keep every bit", () => {
  const clients = [1, 2, 3].map((weight) => ({ weight, r: random(weight) }));

  const { global } = aggregate(
    start,
    clients.map(({ weight, r }) => updateOf(String(weight), weight, r)),
  );

  const expected = clients.map(({ weight, r }) => product(start, r).map((x) => (weight / 6) * x));
  product(start, global.get(keys.r)!).forEach((got, i) => {
    expect(got).toBeCloseTo(
      expected.reduce((sum, values) => sum + values[i]!, 0),
      6,
    );
  });
  expect([global.get(keys.a), global.get(keys.b)]).toEqual([start.get(keys.a), start.get(keys.b)]);
});

test("G14 over two rounds: nothing of the first round's updates comes back", () => {
  const first = aggregate(start, [updateOf("a", 1, random(1)), updateOf("b", 1, random(2))]);

  const second = aggregate(first.global, [updateOf("c", 5, random(3))], first.state);

  const expected = toFloat32(first.global.get(keys.r)!).map((x, i) => x + toFloat32(random(3))[i]!);
  expect([...toFloat32(second.global.get(keys.r)!)]).toEqual([...expected]);
});

test("a client of a smaller rank moves the leading block alone, by the mean over those that own an entry", () => {
  const full = updateOf("a", 1, random(1));
  const small = updateOf("b", 3, random(2, 2));

  const r = toFloat32(aggregate(start, [full, small]).global.get(keys.r)!);

  const [whole, block] = [toFloat32(random(1)), toFloat32(random(2, 2))];
  for (let i = 0; i < 6; i++) {
    for (let j = 0; j < 6; j++) {
      const own = whole[i * 6 + j]!;
      const expected = i < 2 && j < 2 ? (own + 3 * block[i * 2 + j]!) / 4 : own;
      expect(r[i * 6 + j]).toBeCloseTo(expected, 6);
    }
  }
  const { roles } = method.prepare("train", method.initialState(), client({ m: 2 }));
  expect(roles.map(({ spec }) => spec.shape)).toEqual([
    [2, 24],
    [40, 2],
    [2, 2],
  ]);
});

test("G39: exported as plain LoRA, B R and A are the same product", () => {
  const { global, state } = aggregate(start, [updateOf("a", 1, random(4))]);

  const plain = method.toPlainLora!(global, state);

  expect([...plain.keys()]).toEqual([keys.a, keys.b]);
  const [a, b] = [toFloat32(plain.get(keys.a)!), toFloat32(plain.get(keys.b)!)];
  product(global, global.get(keys.r)!).forEach((expected, i) => {
    const [row, column] = [Math.floor(i / module.dIn), i % module.dIn];
    const got = [0, 1, 2, 3, 4, 5].reduce((sum, k) => sum + b[row * 6 + k]! * a[k * module.dIn + column]!, 0);
    expect(got).toBeCloseTo(expected, 6);
  });
});

describe("how far the factors are from orthonormal", () => {
  const changed = (name: string, factor: number): StateDict => {
    const tensor = start.get(name)!;
    return new Map([
      ...start,
      [
        name,
        fromFloat32(
          toFloat32(tensor).map((x, i) => (i === 0 ? x + factor : x)),
          tensor.shape,
        ),
      ],
    ]);
  };

  test("is below 1e-5 for a seeded start, and seen in either factor", () => {
    expect(orthonormalityError(start)).toBeLessThan(1e-5);
    expect(orthonormalityError(changed(keys.a, 0.1))).toBeGreaterThan(1e-3);
    expect(orthonormalityError(changed(keys.b, 0.1))).toBeGreaterThan(1e-3);
  });

  test("is measured once and reported in every round", () => {
    const first = aggregate(start, [updateOf("a", 1, random(1))]);
    const second = aggregate(changed(keys.a, 0.1), [updateOf("a", 1, random(1))], first.state);

    expect(first.metrics["orthonormality"]).toBe(orthonormalityError(start));
    expect(second.metrics["orthonormality"]).toBe(first.metrics["orthonormality"]);
  });
});

test("another variant of the adapter is refused when the run is created", () => {
  const compile = (variant: "lora" | "vera") =>
    compileMethod({
      spec: testSpec({ method: { name: "fed-sb", options: {} }, adapter: { ...adapter, variant } }),
      adapterLayout: [],
      scalings: {},
    });

  expect(() => compile("lora")).toThrow(expect.objectContaining({ code: "spec-combination-refused" }));
  expect(() => compile("vera")).toThrow(expect.objectContaining({ code: "spec-combination-refused" }));
});

test.each([
  ["RoBERTa-large, query and value", 48, 64, 196_608],
  ["Mistral-7B, all linear", 224, 120, 3_225_600],
  ["Mistral-7B, all linear", 224, 200, 8_960_000],
])("what travels of %s (%i modules) at rank %i does not depend on its sizes", (_, count, rank, params) => {
  const modules = Array.from({ length: count }, (__, i) => ({
    ...module,
    name: `layer.${i}.m`,
    rank,
    alpha: 1,
    scaling: 1,
  }));
  const layout = adapterLayout({ modules, heads: [], variant: "latent" });
  const large = compileMethod({
    spec: testSpec({ method: { name: "fed-sb", options: {} }, adapter }),
    adapterLayout: layout,
    scalings: {},
  });

  const bytes = large.bytes(large.prepare("train", large.initialState(), client()));

  expect(bytes).toEqual({ down: 4 * params, up: 4 * params });
});
