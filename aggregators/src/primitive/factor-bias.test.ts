import { canonicalLayout, fromFloat32, toStateDict } from "@fedlora/core";
import type { StateDict, TensorLayout, TensorSpec } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { AggregationInput, AggregationResult, UpdateView } from "../method.js";
import { runPasses } from "../run-passes.js";
import { block, dense, denseState, entry, keyOf, norm, plus, product, times } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { memoryUpdate, MemorySink } from "../testing/memory.js";
import { numbers } from "../testing/product-round.js";
import { adapterGroups } from "./adapter-groups.js";
import { withBias } from "./factor-bias.js";
import type { BiasOptions } from "./factor-bias.js";

interface Module {
  readonly name: string;
  readonly dOut: number;
  readonly rank: number;
  readonly dIn: number;
}
const layoutFor = (modules: readonly Module[], rankOf = (module: Module): number => module.rank): TensorLayout =>
  canonicalLayout(
    modules.flatMap((module): TensorSpec[] => [
      { name: keyOf(module.name, "lora_A.weight"), dtype: "F32", shape: [rankOf(module), module.dIn] },
      { name: keyOf(module.name, "lora_B.weight"), dtype: "F32", shape: [module.dOut, rankOf(module)] },
    ]),
  );
/** With an offset that all values of a tensor share: without its random signs a sketch would take it for more than it is. */
const stateFor = (layout: TensorLayout, seed: number, size = 1): StateDict =>
  toStateDict(
    layout.map(({ name, shape }, i) => {
      const values = numbers(shape[0]! * shape[1]!, seed * 100 + i).map((x) => size * (x + Math.cos(seed + i)));
      return [name, fromFloat32(values, shape)] as const;
    }),
  );

interface Round {
  readonly modules: readonly Module[];
  readonly global: StateDict;
  readonly updates: readonly { readonly weight: number; readonly tensors: StateDict }[];
}

function measure(
  { modules, global, updates }: Round,
  more: Partial<Omit<BiasOptions, "input">> & { readonly order?: (views: UpdateView[]) => UpdateView[] } = {},
): Readonly<Record<string, number>> {
  const views = updates.map(({ weight, tensors }, k) => memoryUpdate(String(k).padStart(3, "0"), weight, tensors));
  const input: AggregationInput = {
    ...{ round: 1, phase: "train", baseVersion: 0, sink: new MemorySink(), global },
    state: { version: 1, values: {}, tensors: new Map() },
  };
  const { order = (list: UpdateView[]) => list, ...options } = more;
  const result = withBias(
    { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics: { own: 1 } },
    {
      ...{ input, groups: adapterGroups(layoutFor(modules)), contributors: updates.length },
      ...{ exactUpTo: 32, against: "means", seed: 5, ...options },
    },
  );
  const done: AggregationResult =
    result.kind === "continue" ? runPasses(result.next, (visit) => order(views).forEach(visit)) : result;
  if (done.kind === "refused") throw new Error(done.message);
  return done.metrics;
}

/** The bias with every product written out, over those that hold a module. */
function denseBias({ modules, global, updates }: Round, sent?: StateDict): number {
  const squares = modules.map(({ name, dOut, rank, dIn }) => {
    const key = { a: keyOf(name, "lora_A.weight"), b: keyOf(name, "lora_B.weight") };
    const from = denseState(global);
    const own = updates.flatMap(({ weight, tensors }) => {
      const [a, b] = [denseState(tensors).get(key.a), denseState(tensors).get(key.b)];
      if (a === undefined || b === undefined) return [];
      const full = {
        a: plus(block(from.get(key.a)!, a.rows, dIn), a),
        b: plus(block(from.get(key.b)!, dOut, b.columns), b),
      };
      return [{ weight, ...full }];
    });
    const total = own.reduce((sum, { weight }) => sum + weight, 0);
    const mean = (of: (one: (typeof own)[number]) => Dense, rows: number, columns: number): Dense =>
      dense(rows, columns, (i, j) => own.reduce((sum, one) => sum + (one.weight / total) * entry(of(one), i, j), 0));
    const ideal = mean(({ a, b }) => product(b, a), dOut, dIn);
    const after = sent && denseState(sent);
    const a = after?.get(key.a) ?? mean((one) => one.a, rank, dIn);
    const b = after?.get(key.b) ?? mean((one) => one.b, dOut, rank);
    return [norm(plus(ideal, times(-1, product(b, a)))) ** 2, norm(ideal) ** 2] as const;
  });
  return Math.sqrt(squares.reduce((sum, [x]) => sum + x, 0) / squares.reduce((sum, [, y]) => sum + y, 0));
}

const small: readonly Module[] = [
  { name: "q", dOut: 7, rank: 3, dIn: 4 },
  { name: "v", dOut: 5, rank: 2, dIn: 9 },
];
const round = (modules: readonly Module[], count: number, size = 0.5): Round => ({
  modules,
  global: stateFor(layoutFor(modules), 1),
  updates: Array.from({ length: count }, (_, k) => ({
    weight: 1 + ((13 * k) % 29),
    tensors: stateFor(layoutFor(modules), k + 2, size),
  })),
});
/** Clients of smaller ranks, and one that holds a single module. */
const mixed = (): Round => {
  const { global } = round(small, 1);
  const tensors = [
    stateFor(layoutFor(small), 2),
    stateFor(
      layoutFor(small, () => 1),
      3,
    ),
    stateFor(layoutFor([small[1]!]), 4),
    stateFor(
      layoutFor(small, ({ rank }) => rank - 1),
      5,
    ),
  ];
  return { modules: small, global, updates: tensors.map((state, k) => ({ weight: 1 + 3 * k, tensors: state })) };
};

describe.each([
  ["from Gram matrices", 32, 10],
  ["from sketches wider than the sides", 1, 6],
])("the bias %s", (_, exactUpTo, digits) => {
  test("agrees with dense products", () => {
    const own = round(small, 5);
    expect(measure(own, { exactUpTo })["bias"]).toBeCloseTo(denseBias(own), digits);
    expect(measure(own, { exactUpTo })["biasError"]).toBe(0);
  });

  test("agrees with them against an adapter that is sent, in place of the means", () => {
    const own = round(small, 5);
    const against = stateFor(layoutFor(small), 77);
    expect(measure(own, { exactUpTo, against })["bias"]).toBeCloseTo(denseBias(own, against), digits);
  });

  test("takes mixed ranks, and those alone that hold a module", () => {
    const own = mixed();
    expect(measure(own, { exactUpTo })["bias"]).toBeCloseTo(denseBias(own), digits);
    const against = stateFor(layoutFor(small), 78);
    expect(measure(own, { exactUpTo, against })["bias"]).toBeCloseTo(denseBias(own, against), digits);
  });

  test("depends on the order of the updates in no bit", () => {
    const own = round(small, 6);
    const expected = measure(own, { exactUpTo });
    expect(measure(own, { exactUpTo, order: (views) => views.toReversed() })).toEqual(expected);
    expect(measure(own, { exactUpTo, order: ([first, ...rest]) => [...rest, first!] })).toEqual(expected);
  });

  test("keeps the metrics that there were", () => {
    expect(measure(round(small, 3), { exactUpTo })).toMatchObject({ own: 1 });
  });
});

describe("the estimate above so many clients", () => {
  const large: readonly Module[] = Array.from({ length: 12 }, (_, i) => ({
    name: `m${i}`,
    ...{ dOut: 150 + 20 * i, rank: 2, dIn: 300 - 10 * i },
  }));

  test("lies within a few of its standard deviations, which it states", () => {
    const own = round(large, 40);
    const expected = measure(own, { exactUpTo: 100 });
    expect(expected["biasError"]).toBe(0);
    const errors = Array.from({ length: 8 }, (_, seed) => {
      const { bias, biasError } = measure(own, { exactUpTo: 32, seed });
      expect(biasError! / bias!).toBeLessThan(0.08);
      expect(biasError! / bias!).toBeGreaterThan(0.01);
      return (bias! - expected["bias"]!) / biasError!;
    });
    for (const error of errors) expect(Math.abs(error)).toBeLessThan(3);
    // Independent seeds err to both sides, and the bound is no wild overstatement.
    expect(Math.max(...errors)).toBeGreaterThan(0);
    expect(Math.min(...errors)).toBeLessThan(0);
    expect(Math.max(...errors.map(Math.abs))).toBeGreaterThan(0.1);
  });

  test("is near zero where one factor is common to all", () => {
    const { global, updates } = round(large.slice(0, 2), 40);
    const common = updates.map(({ weight, tensors }) => ({
      weight,
      tensors: toStateDict(
        [...tensors].map(
          ([name, tensor]) => [name, name.includes("lora_A") ? updates[0]!.tensors.get(name)! : tensor] as const,
        ),
      ),
    }));
    expect(measure({ modules: large.slice(0, 2), global, updates: common })["bias"]).toBeLessThan(1e-6);
  });
});

test("is not measured from sums, nor where it is switched off", () => {
  const own = round(small, 3);
  expect(measure(own, { exactUpTo: 0 })).toEqual({ own: 1 });
});

test("products beyond float32 leave the metric out and not the round", () => {
  const own = round(small, 3, 1e30);
  expect(measure(own, { exactUpTo: 1 })).toEqual({ own: 1 });
  expect(measure(own)["bias"]).toBeGreaterThan(0);
});
