import { canonicalLayout, elementCount, fromFloat32, RandomStream, randomKey, toStateDict } from "@fedlora/core";
import type { AdapterSpec, StateDict, TensorLayout, TensorSpec } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import type { MethodDefinition } from "./method.js";
import { norm, plus, times } from "./testing/dense.js";
import type { Dense } from "./testing/dense.js";
import { meanOfProducts } from "./testing/product-oracles.js";
import { RoundFixture } from "./testing/round-fixture.js";
import type { SampleClient } from "./testing/round-fixture.js";

const exact = [...builtinMethods.values()].filter(({ capabilities }) => capabilities.exact);
const module = "layer.0.query";
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

function fixtureFor(definition: MethodDefinition, rank: number, isMixed = false): RoundFixture {
  const variant: AdapterSpec["variant"] = definition.capabilities.variants.includes("lora") ? "lora" : "latent";
  const oracle = (): never => {
    throw new Error("this test brings its own");
  };
  return new RoundFixture({
    definition,
    options: {},
    spec: { adapter: { rank, targetModules: ["query"], variant } },
    layout: layoutAt(rank, variant),
    ...(isMixed && { ranks: [undefined] }),
    oracle,
  });
}

/** A round of unequal weights: the effective weight that comes out, and how far it is from what must. */
function roundOf(
  fixture: RoundFixture,
  clients: number,
  seed: number,
  expected: (global: StateDict, list: readonly SampleClient[]) => ReadonlyMap<string, Dense>,
  rankOf: (client: number) => number | undefined = () => undefined,
): number {
  const count = fixture.layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const global: StateDict = toStateDict(
    fixture.layout.map(({ name, shape }, i) => [name, fromFloat32(numbers(elementCount(shape), i, 0.1), shape)]),
  );
  const list = Array.from({ length: clients }, (_, k): SampleClient => {
    const rank = rankOf(k);
    return {
      id: `plan-${k}`,
      weight: 1 + ((k * 37) % 101),
      ranks: rank === undefined ? undefined : { [module]: rank },
      values: numbers(count, seed + k, 0.05),
      receivedLoss: 1,
    };
  });
  const got = fixture.effective(fixture.run(global, list)).get(module)!;
  const right = expected(global, list).get(module)!;
  return norm(plus(got, times(-1, right))) / norm(right);
}

/** Ranks 1 to 64 and 2 to 100 clients; fewer where both are large, for the dense products of the oracle. */
const drawnSizes = fc
  .record({
    rank: fc.integer({ min: 1, max: 64 }),
    clients: fc.integer({ min: 2, max: 100 }),
    seed: fc.integer({ min: 0, max: 2 ** 20 }),
  })
  .map(({ rank, clients, seed }) => ({ rank, seed, clients: Math.max(2, Math.min(clients, Math.floor(1200 / rank))) }));

describe.each(exact)("$name", (definition) => {
  const errorOf = (rank: number, clients: number, seed: number): number => {
    const fixture = fixtureFor(definition, rank);
    return roundOf(fixture, clients, seed, (global, list) => fixture.meanOfModels(global, list));
  };

  test.each(sizes)(
    "gives the mean model to 1e-6: rank $rank, $clients clients of unequal weights",
    ({ rank, clients }) => {
      expect(errorOf(rank, clients, 10)).toBeLessThan(1e-6);
    },
  );

  test("gives the mean model to 1e-6 at any rank, for any number of clients", () => {
    fc.assert(
      fc.property(drawnSizes, ({ rank, clients, seed }) => {
        expect(errorOf(rank, clients, seed)).toBeLessThan(1e-6);
      }),
      { numRuns: 4 },
    );
  });
});

describe.each(exact.filter(({ capabilities }) => capabilities.ranks === "any"))("$name, G24", (definition) => {
  test("gives the mean of the products to 1e-6 for clients of different ranks", () => {
    fc.assert(
      fc.property(drawnSizes, ({ rank, clients, seed }) => {
        const fixture = fixtureFor(definition, rank, true);
        const mean = (global: StateDict, list: readonly SampleClient[]): ReadonlyMap<string, Dense> =>
          meanOfProducts(fixture.oracleRound(global, list)).weights!;
        expect(roundOf(fixture, clients, seed, mean, (k) => 1 + ((k * 7) % rank))).toBeLessThan(1e-6);
      }),
      { numRuns: 8 },
    );
  });
});
