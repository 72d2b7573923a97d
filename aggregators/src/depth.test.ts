import type { TensorLayout } from "@fedlora/core";
import { canonicalLayout } from "@fedlora/core";
import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import type { ClientCapability, MethodDefinition } from "./method.js";
import { compileOn } from "./testing/one-module.js";

const key = (layer: number, factor: "A" | "B"): string => `base_model.model.layer.${layer}.q.lora_${factor}.weight`;
const layout: TensorLayout = canonicalLayout(
  [0, 1].flatMap((layer) => [
    { name: key(layer, "A"), dtype: "F32" as const, shape: [2, 3] },
    { name: key(layer, "B"), dtype: "F32" as const, shape: [4, 2] },
  ]),
);
const shallow = {
  clientId: "c",
  maxRank: undefined,
  ranks: { "layer.1.q": 1 },
  directives: [],
  codecs: [],
} as unknown as ClientCapability;
const methods = [...builtinMethods.values()].filter(({ capabilities }) => capabilities.ranks === "any");

test("there are methods for clients of any depth", () => {
  expect(methods.map(({ name }) => name).sort()).toEqual(["flexlora", "flora", "legend", "lora-lego"]);
});

test.each(methods.map((method) => [method.name, method] as const))(
  "%s: layers below a client's depth are downloaded and applied, not trained",
  (_name, definition: MethodDefinition) => {
    const method = compileOn(layout, definition);
    const { roles } = method.prepare("train", method.initialState(), shallow);
    const of = (layer: number) => roles.filter(({ spec }) => spec.name.includes(`layer.${layer}.`));
    expect(of(0).map(({ trained, uploaded, downloaded }) => [trained, uploaded, downloaded])).toEqual([
      [false, false, true],
      [false, false, true],
    ]);
    expect(of(0).map(({ spec }) => spec.shape)).toEqual([
      [2, 3],
      [4, 2],
    ]);
    expect(of(1).every(({ trained, uploaded, downloaded }) => trained && uploaded && downloaded)).toBe(true);
    const bytes = method.bytes(method.prepare("train", method.initialState(), shallow));
    expect(bytes.up).toBe(4 * (3 + 4));
  },
);
