import { adapterLayout, toFloat32 } from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, Method } from "../method.js";
import { aggregateInMemory, memoryUpdate, stateOf, testSpec } from "../testing/memory.js";
import type { NamedValues } from "../testing/memory.js";

const nameA = "base_model.model.m.lora_A.weight";
const nameB = "base_model.model.m.lora_B.weight";
const factorLayout = (dOut: number, rank: number, dIn: number): TensorLayout => [
  { name: nameA, dtype: "F32", shape: [rank, dIn] },
  { name: nameB, dtype: "F32", shape: [dOut, rank] },
];

function methodOf(layout: TensorLayout, options: Record<string, unknown> = {}): Method {
  return compileMethod({
    spec: testSpec({ method: { name: "fedavg", options } }),
    adapterLayout: layout,
    scalings: {},
  });
}
interface ClientValues {
  readonly weight: number;
  readonly a: readonly number[];
  readonly b: readonly number[];
}
const named = ({ a, b }: Pick<ClientValues, "a" | "b">): NamedValues => ({ [nameA]: a, [nameB]: b });

function aggregate(
  layout: TensorLayout,
  clients: readonly ClientValues[],
  global: Pick<ClientValues, "a" | "b">,
  options: Record<string, unknown> = {},
): Extract<AggregationResult, { kind: "adapter" }> {
  const updates = clients.map((client, k) =>
    memoryUpdate(String(k).padStart(3, "0"), client.weight, stateOf(layout, named(client))),
  );
  const result = aggregateInMemory(methodOf(layout, options), stateOf(layout, named(global)), updates);
  if (result.kind === "refused") throw new Error(result.message);
  return result;
}
const values = (adapter: StateDict, name: string): number[] => [...toFloat32(adapter.get(name)!)];

/** Fixture F1 of the golden checks, computed by hand and checked in Python's float64: p = (1/4, 3/4), rank 1. */
const f1 = {
  layout: factorLayout(2, 1, 2),
  global: { a: [0, 0], b: [0, 0] },
  clients: [
    { weight: 1, a: [2, 0], b: [1, 0] },
    { weight: 3, a: [0, 4], b: [0, 1] },
  ],
};

describe("golden values of fixture F1", () => {
  test("G1: A and B are averaged separately, by weight", () => {
    const { global } = aggregate(f1.layout, f1.clients, f1.global);
    expect(values(global, nameB)).toEqual([0.25, 0.75]);
    expect(values(global, nameA)).toEqual([0.5, 3]);
  });

  test("G2: the bias is the factors' cross-covariance, relative to the mean product", () => {
    const { metrics } = aggregate(f1.layout, f1.clients, f1.global);
    expect(metrics["bias"]).toBeCloseTo(0.3899064336825273, 12);
    expect(metrics).toMatchObject({ contributors: 2, totalWeight: 4 });
  });

  test("G11: the other sign of one client's factors is the same model but another average", () => {
    const flipped = [{ weight: 1, a: [-2, 0], b: [-1, 0] }, ...f1.clients.slice(1)];
    const { global } = aggregate(f1.layout, flipped, f1.global);
    expect(values(global, nameB)).toEqual([-0.25, 0.75]);
    expect(values(global, nameA)).toEqual([-0.5, 3]);
  });
});

describe("the bias", () => {
  /** Reproducible values without a generator: any irrational rotation does. */
  const numbers = (count: number, seed: number): number[] =>
    Array.from({ length: count }, (_, i) => Math.fround(Math.sin(seed * 12.9898 + i * 78.233) * 0.5));

  /** Dense: || sum p B A - Bbar Abar ||_F / || sum p B A ||_F with every dOut x dIn product written out. */
  function denseBias(
    [dOut, rank, dIn]: readonly [number, number, number],
    clients: readonly ClientValues[],
    global: Pick<ClientValues, "a" | "b">,
  ): number {
    const total = clients.reduce((sum, { weight }) => sum + weight, 0);
    const product = (b: readonly number[], a: readonly number[]): number[] =>
      Array.from({ length: dOut * dIn }, (_, at) => {
        const [i, j] = [Math.floor(at / dIn), at % dIn];
        return Array.from({ length: rank }, (_, q) => b[i * rank + q]! * a[q * dIn + j]!).reduce((x, y) => x + y);
      });
    const full = clients.map(({ weight, a, b }) => ({
      p: weight / total,
      a: a.map((x, i) => x + global.a[i]!),
      b: b.map((x, i) => x + global.b[i]!),
    }));
    const mean = (arrays: readonly (readonly number[])[]): number[] =>
      arrays[0]!.map((_, i) => arrays.reduce((sum, array, k) => sum + full[k]!.p * array[i]!, 0));
    const ideal = mean(full.map(({ a, b }) => product(b, a)));
    const biased = product(mean(full.map(({ b }) => b)), mean(full.map(({ a }) => a)));
    return Math.hypot(...ideal.map((x, i) => x - biased[i]!)) / Math.hypot(...ideal);
  }

  const shape = [7, 3, 4] as const;
  const layout = factorLayout(...shape);
  const global = { a: numbers(12, 0.3), b: numbers(21, 0.7) };
  const clients = [5, 1, 17, 200].map((weight, k) => ({ weight, a: numbers(12, k + 1), b: numbers(21, k + 50) }));

  test("agrees with dense products where dOut, rank and dIn differ and weights are unequal", () => {
    const { metrics } = aggregate(layout, clients, global);
    expect(metrics["bias"]).toBeCloseTo(denseBias(shape, clients, global), 10);
  });

  test("is zero where one factor is common, or all clients agree", () => {
    const commonA = clients.map((client) => ({ ...client, a: clients[0]!.a }));
    const commonB = clients.map((client) => ({ ...client, b: clients[0]!.b }));
    for (const list of [commonA, commonB, [clients[0]!, clients[0]!]]) {
      expect(aggregate(layout, list, global).metrics["bias"]).toBeLessThan(1e-12);
    }
  });

  test("is estimated above so many clients, here without error: the sides are smaller than the sketch", () => {
    const { metrics } = aggregate(layout, clients, global, { biasClients: 3 });
    expect(metrics["bias"]).toBeCloseTo(denseBias(shape, clients, global), 6);
    expect(metrics["biasError"]).toBe(0);
  });

  test("is left out when it is switched off", () => {
    expect(aggregate(layout, clients, global, { biasClients: 0 }).metrics).not.toHaveProperty("bias");
  });
});

test("a mean beyond float32 fails the round instead of entering the adapter", () => {
  const largest = 3.4028234663852886e38;
  const layout = factorLayout(1, 1, 1);
  const update = memoryUpdate("0", 1, stateOf(layout, { [nameA]: [largest], [nameB]: [0] }));
  const result = aggregateInMemory(methodOf(layout), stateOf(layout, { [nameA]: [largest], [nameB]: [0] }), [update]);
  expect(result).toMatchObject({ kind: "refused", code: "round-failed", message: expect.stringContaining(nameA) });
});

describe("G40: bytes follow the closed form rank (dIn + dOut) per module", () => {
  const modules = (layers: number, list: readonly (readonly [string, number, number])[], rank: number) =>
    Array.from({ length: layers }, (_, layer) =>
      list.map(([name, dIn, dOut]) => ({
        name: `layers.${layer}.${name}`,
        layer,
        dIn,
        dOut,
        rank,
        alpha: rank,
        scaling: 1,
      })),
    ).flat();

  test.each([
    [
      "RoBERTa-large, q and v, rank 8",
      modules(
        24,
        [
          ["q", 1024, 1024],
          ["v", 1024, 1024],
        ],
        8,
      ),
      786_432,
    ],
    [
      "TinyLlama (grouped-query v), rank 16",
      modules(
        22,
        [
          ["q", 2048, 2048],
          ["v", 2048, 256],
        ],
        16,
      ),
      2_252_800,
    ],
  ] as const)("%s", (_, list, params) => {
    const layout = adapterLayout({ modules: list, heads: [] });
    const bytes = (codec: "f32" | "f16"): { down: number; up: number } => {
      const method = compileMethod({ spec: testSpec({ codec }), adapterLayout: layout, scalings: {} });
      const client = { clientId: "c", maxRank: undefined, directives: [], codecs: [] } as never;
      return method.bytes(method.prepare("train", method.initialState(), client));
    };
    expect(bytes("f32")).toEqual({ down: 4 * params, up: 4 * params });
    expect(bytes("f16")).toEqual({ down: 4 * params, up: 2 * params });
  });
});
