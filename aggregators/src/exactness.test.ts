import { canonicalLayout, elementCount, fromFloat32, RandomStream, randomKey, toStateDict } from "@fedlora/core";
import type { AdapterSpec, StateDict, TensorLayout, TensorSpec } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import type { MethodDefinition } from "./method.js";
import { norm, plus, times } from "./testing/dense.js";
import { RoundFixture } from "./testing/round-fixture.js";
import type { SampleClient } from "./testing/round-fixture.js";

const exact = [...builtinMethods.values()].filter(({ capabilities }) => capabilities.exact);
const sizes = [
  { rank: 1, clients: 100 },
  { rank: 8, clients: 12 },
  { rank: 17, clients: 2 },
  { rank: 64, clients: 3 },
];

function layoutAt(rank: number, variant: AdapterSpec["variant"]): TensorLayout {
  const spec = (tensor: string, ...shape: number[]): TensorSpec => {
    return { name: `base_model.model.layer.0.query.${tensor}`, dtype: "F32", shape };
  };
  const latent = variant === "latent" ? [spec("lora_R.weight", rank, rank)] : [];
  return canonicalLayout([spec("lora_A.weight", rank, 80), spec("lora_B.weight", 72, rank), ...latent]);
}

const numbers = (count: number, seed: number, size: number): Float32Array =>
  new RandomStream(randomKey(seed)).uniforms(count, -size, size);

function fixtureFor(definition: MethodDefinition, rank: number): RoundFixture {
  const variant: AdapterSpec["variant"] = definition.capabilities.variants.includes("lora") ? "lora" : "latent";
  const oracle = (): never => {
    throw new Error("this test brings its own");
  };
  return new RoundFixture({
    definition,
    options: {},
    spec: { adapter: { rank, targetModules: ["query"], variant } },
    layout: layoutAt(rank, variant),
    oracle,
  });
}

describe.each(exact)("$name", (definition) => {
  test.each(sizes)(
    "gives the mean model to 1e-6: rank $rank, $clients clients of unequal weights",
    ({ rank, clients }) => {
      const fixture = fixtureFor(definition, rank);
      const count = fixture.layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
      const global: StateDict = toStateDict(
        fixture.layout.map(({ name, shape }, i) => [name, fromFloat32(numbers(elementCount(shape), i, 0.1), shape)]),
      );
      const list = Array.from({ length: clients }, (_, k): SampleClient => {
        const values = numbers(count, k + 10, 0.05);
        return { id: `plan-${k}`, weight: 1 + ((k * 37) % 101), ranks: undefined, values, receivedLoss: 1 };
      });

      const got = fixture.effective(fixture.run(global, list)).get("layer.0.query")!;
      const expected = fixture.meanOfModels(global, list).get("layer.0.query")!;
      expect(norm(plus(got, times(-1, expected))) / norm(expected)).toBeLessThan(1e-6);
    },
  );
});
