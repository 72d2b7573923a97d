import { canonicalLayout, fromFloat32, hashStateDict, toStateDict } from "@fedlora/core";
import type { ClientId, IncrementalHash } from "@fedlora/core";
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { compileMethod } from "./compile-method.js";
import type { UpdateView } from "./method.js";
import { aggregateInMemory, testSpec } from "./testing/memory.js";

const width = 131_072;
const modules = Array.from({ length: 2 }, (_, layer) => `base_model.model.layers.${layer}.q_proj`);
/** 4,194,304 parameters. */
const layout = canonicalLayout(
  modules.flatMap((name) => [
    { name: `${name}.lora_A.weight`, dtype: "F32", shape: [8, width] },
    { name: `${name}.lora_B.weight`, dtype: "F32", shape: [width, 8] },
  ]),
);

/** A linear congruential generator: cheap, and good enough to fill 38 million mantissas. */
function filled(seed: number, scale = 1e-3): ReadonlyMap<string, Float32Array> {
  let bits = seed;
  return new Map(
    layout.map(({ name }) => {
      const values = new Float32Array(8 * width);
      for (let i = 0; i < values.length; i++) {
        bits = (Math.imul(bits, 1664525) + 1013904223) | 0;
        values[i] = (bits / 2 ** 31) * scale;
      }
      return [name, values];
    }),
  );
}

/**
 * A view that copies nothing. The first two updates are large and cancel each other: a float64 sum loses the low bits of
 * whatever is added between them, so its bits would depend on the order.
 */
function viewOf(k: number, isMixed: boolean): UpdateView {
  const tensors = k < 2 ? filled(2, k === 0 ? 2 ** 20 : -(2 ** 20)) : filled(k + 2);
  const weight = k < 2 ? 997 : 101 + 37 * k;
  const rank = isMixed && k >= 2 ? 2 ** (k % 4) : 8;
  const shapeOf = (name: string): readonly number[] => (name.endsWith("lora_A.weight") ? [rank, width] : [width, rank]);
  return {
    id: `plan-${k}`,
    clientId: `c-${k}` as ClientId,
    weight,
    numExamples: weight,
    numSteps: 1,
    staleness: 0,
    receivedLoss: undefined,
    shape: shapeOf,
    tensor: (name) => tensors.get(name)!.subarray(0, rank * width),
  };
}

test.each([
  { name: "fedavg", options: { biasClients: 0 }, isMixed: false, orders: 8 },
  { name: "legend", options: {}, isMixed: true, orders: 3 },
  { name: "hetlora", options: {}, isMixed: true, orders: 2 },
])(
  "$name: 4 million parameters in $orders random orders of arrival, in 1 to 3 shards, give one hash",
  ({ name, options, isMixed, orders }) => {
    const spec = testSpec({
      method: { name, options },
      weighting: { kind: "uniform" },
      ...(isMixed && { rankPlan: { kind: "capability" } }),
    });
    const method = compileMethod({ spec, adapterLayout: layout, scalings: {} });
    const values = filled(1);
    const global = toStateDict(
      layout.map(({ name: tensor, shape }) => [tensor, fromFloat32(values.get(tensor)!, shape)]),
    );
    const updates = Array.from({ length: 8 }, (_, k) => viewOf(k, isMixed));
    const sha256 = (): IncrementalHash => createHash("sha256");
    const hashes = Array.from({ length: orders }, (_, seed) => {
      const result = aggregateInMemory(method, global, shuffled(updates, seed), { shards: 1 + (seed % 3) });
      return result.kind === "adapter" ? hashStateDict(result.global, sha256) : result.message;
    });
    expect(new Set(hashes).size).toBe(1);
    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
  },
  120_000,
);

/** Fisher-Yates by the same small generator. */
function shuffled(updates: readonly UpdateView[], seed: number): UpdateView[] {
  const list = [...updates];
  let bits = seed + 12345;
  for (let i = list.length - 1; i > 0; i--) {
    bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((bits / 2 ** 32) * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
