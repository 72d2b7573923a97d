import { adapterLayout, blobIdOf, initialAdapter, toFloat32, writeSafetensors } from "@fedlora/core";
import type { ResolvedModule } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { hashedTensors } from "../primitive/hashed-tensors.js";
import { dense, denseOf, plus, product, times } from "../testing/dense.js";
import { compileOn, factors, nameA, nameB, oneModule, roundOn, valuesOf } from "../testing/one-module.js";
import { ffaLora } from "./ffa-lora.js";

const client = { clientId: "c", maxRank: undefined, ranks: undefined, directives: [], codecs: [] } as never;
const layout = oneModule(3, 2, 4);
const global = { a: [1, -2, 3, 0.5, 0, 4, -1, 2], b: [1, 0, -1, 2, 0.5, 1] };
const updates = [
  { weight: 1, b: [1, 2, 3, 4, 5, 6] },
  { weight: 3, b: [0, -1, 0.5, 2, -4, 8] },
];

test("G16: the mean of the clients' products is the product of the mean with the common A", () => {
  const method = compileOn(layout, ffaLora);
  const { global: next } = roundOn(method, layout, global, updates);
  const before = factors(layout, global);
  const a0 = denseOf(before.get(nameA)!);
  const ideal = updates
    .map(({ weight, b }) => {
      const own = plus(
        denseOf(before.get(nameB)!),
        dense(3, 2, (i, j) => b[2 * i + j]!),
      );
      return times(weight / 4, product(own, a0));
    })
    .reduce(plus);

  expect([...product(denseOf(next.get(nameB)!), a0).values]).toEqual([...ideal.values]);
  expect(next.get(nameA)!.bytes).toEqual(before.get(nameA)!.bytes);
});

test("A is neither trained nor sent after the first time, and its blob does not change while B does", () => {
  const method = compileOn(layout, ffaLora);
  const instruction = method.prepare("train", method.initialState(), client);
  const { global: next } = roundOn(method, layout, global, updates);
  const blobs = [factors(layout, global), next].map((adapter) =>
    hashedTensors(instruction, adapter).map((tensors) => blobIdOf(writeSafetensors(tensors))),
  );

  expect(instruction.roles.find(({ spec }) => spec.name === nameA)).toMatchObject({ trained: false, uploaded: false });
  expect(method.intake(instruction, 0).layout.map(({ name }) => name)).toEqual([nameB]);
  expect([...method.projectFor(instruction, next, method.initialState()).keys()]).toEqual([nameB]);
  expect(blobs[0]).toHaveLength(1);
  expect(blobs[1]).toEqual(blobs[0]);
});

test("G16: modules of one shape have an A of their own, by name, and another seed gives others", () => {
  const module = (name: string): ResolvedModule => {
    return { name, layer: 0, dIn: 6, dOut: 6, rank: 2, alpha: 4, scaling: 2 };
  };
  const adapter = {
    modules: ["q", "k", "v"].map(module),
    heads: [],
    dropout: 0,
    rslora: false,
    variant: "lora",
  } as const;
  const frozenOf = (seed: number): string[] => {
    const start = initialAdapter(adapter, seed);
    const method = compileOn(adapterLayout(adapter), ffaLora);
    const [tensors] = hashedTensors(method.prepare("train", method.initialState(), client), start);
    return [...tensors!.values()].map((tensor) => toFloat32(tensor).join(" "));
  };

  expect(frozenOf(1)).toHaveLength(3);
  expect(new Set([...frozenOf(1), ...frozenOf(2)]).size).toBe(6);
  expect(frozenOf(1)).toEqual(frozenOf(1));
});

describe("mixed ranks", () => {
  const method = compileOn(layout, ffaLora, {}, { rankPlan: { kind: "capability" } });

  test("a client of rank 1 gets the first row of A and the first column of B, and sends that column", () => {
    const instruction = method.prepare("train", method.initialState(), {
      ...(client as object),
      ranks: { m: 1 },
    } as never);
    const before = factors(layout, global);

    expect(valuesOf(hashedTensors(instruction, before)[0]!, nameA)).toEqual([1, -2, 3, 0.5]);
    expect(valuesOf(method.projectFor(instruction, before, method.initialState()), nameB)).toEqual([1, -1, 0.5]);
    expect(method.intake(instruction, 0).layout).toEqual([{ name: nameB, dtype: "F32", shape: [3, 1] }]);
    expect(method.bytes(instruction)).toEqual({ down: 12, up: 12 });
  });

  test("each column is the mean over those that own it; what nobody owns stays", () => {
    const mixed = [
      { weight: 1, b: [1, 2, 3, 4, 5, 6] },
      { weight: 3, rank: 1, b: [4, 8, -3] },
    ];
    expect(valuesOf(roundOn(method, layout, global, mixed).global, nameB)).toEqual([4.25, 2, 5.75, 6, -0.5, 7]);
    expect(valuesOf(roundOn(method, layout, global, mixed.slice(1)).global, nameB)).toEqual([5, 0, 7, 2, -2.5, 1]);
  });
});
