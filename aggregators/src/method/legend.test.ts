import { canonicalLayout, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict, TensorLayout, TensorRole } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { AggregationResult, ClientCapability, ClientInstruction, UpdateView } from "../method.js";
import { aggregateInMemory, memoryUpdate } from "../testing/memory.js";
import { compileOn } from "../testing/one-module.js";
import { legend } from "./legend.js";

const layers = ["layer.0.q", "layer.1.q", "layer.2.q"];
const key = (layer: string, factor: "A" | "B"): string => `base_model.model.${layer}.lora_${factor}.weight`;
const layout: TensorLayout = canonicalLayout(
  layers.flatMap((layer) => [
    { name: key(layer, "A"), dtype: "F32" as const, shape: [2, 3] },
    { name: key(layer, "B"), dtype: "F32" as const, shape: [4, 2] },
  ]),
);
const method = compileOn(layout, legend);
const global = even(layout, 1);

function even(specs: TensorLayout, value: number): StateDict {
  return toStateDict(
    specs.map(({ name, shape }) => {
      const count = shape.reduce((size, n) => size * n, 1);
      return [name, fromFloat32(new Float32Array(count).fill(value), shape)] as const;
    }),
  );
}
function instruct(ranks: ClientCapability["ranks"]): ClientInstruction {
  const client = { clientId: "c", maxRank: undefined, ranks, directives: [], codecs: [] } as never;
  return method.prepare("train", method.initialState(), client);
}
/** A client that holds the layers from `from` on, all of whose deltas are `value`. */
function holder(id: string, weight: number, from: number, value: number): UpdateView {
  const ranks = Object.fromEntries(layers.slice(from).map((layer) => [layer, 2]));
  return memoryUpdate(id, weight, even(method.intake(instruct(ranks), 0).layout, value));
}
function valueOf(result: AggregationResult, layer: string): readonly number[] {
  if (result.kind === "refused") throw new Error(result.message);
  return [
    ...new Set([...toFloat32(result.global.get(key(layer, "A"))!), ...toFloat32(result.global.get(key(layer, "B"))!)]),
  ];
}

describe("G25", () => {
  const result = aggregateInMemory(method, global, [holder("a", 1, 2, 4), holder("b", 3, 1, 8)]);

  test("a layer that nobody holds keeps its value", () => {
    expect(valueOf(result, "layer.0.q")).toEqual([1]);
  });

  test("a layer that one client holds is that client's", () => {
    expect(valueOf(result, "layer.1.q")).toEqual([9]);
  });

  test("a layer that all hold is the mean by weight", () => {
    expect(valueOf(result, "layer.2.q")).toEqual([8]);
  });

  test("all clients of the round are reported, whatever they hold", () => {
    expect(result).toMatchObject({ metrics: { contributors: 2, totalWeight: 4 } });
  });
});

test("a client trains and sends what it holds, and applies the layers below as they are", () => {
  const instruction = instruct({ "layer.2.q": 1 });
  const roleOf = (layer: string, factor: "A" | "B"): TensorRole | undefined =>
    instruction.roles.find(({ spec }) => spec.name === key(layer, factor));

  expect(roleOf("layer.2.q", "A")).toMatchObject({ spec: { shape: [1, 3] }, trained: true, uploaded: true });
  for (const layer of ["layer.0.q", "layer.1.q"]) {
    const readOnly = { trained: false, uploaded: false, downloaded: true, keep: "none" };
    expect(roleOf(layer, "A")).toMatchObject({ ...readOnly, spec: { shape: [2, 3] } });
    expect(roleOf(layer, "B")).toMatchObject({ ...readOnly, spec: { shape: [4, 2] } });
  }
  expect([...method.projectFor(instruction, global, method.initialState()).keys()]).toHaveLength(6);
  // Down 2 whole layers of 14 values and 7 of the third, up the 7.
  expect(method.bytes(instruction)).toEqual({ down: 4 * 35, up: 4 * 7 });
});
