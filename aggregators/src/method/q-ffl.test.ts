import { describe, expect, test } from "vitest";
import { aggregateInMemory } from "../testing/memory.js";
import { compileOn, factors, nameA, oneModule, roundOn, updatesOn, valuesOf } from "../testing/one-module.js";
import { qFfl } from "./q-ffl.js";

const layout = oneModule(1, 1, 1);
/** w = 1, client learning rate 0.1; clients at 0.9 with loss 1 and at 0.6 with loss 4. */
const global = { a: [1], b: [0] };
const updates = [
  { a: [0.9 - 1], b: [0], receivedLoss: 1 },
  { a: [0.6 - 1], b: [0], receivedLoss: 4 },
];
const spec = { training: { optimizer: { learningRate: 0.1 } } };
const stepTo = (options: Record<string, unknown>, list = updates): number =>
  valuesOf(roundOn(compileOn(layout, qFfl, options, spec), layout, global, list).global, nameA)[0]!;

describe("G29", () => {
  test("q = 0 is the uniform mean", () => {
    expect(stepTo({ q: 0 })).toBeCloseTo(0.75, 7);
  });

  test("q = 1: Delta = (1, 16), h = (11, 56), w' = 1 - 17 / 67", () => {
    expect(stepTo({ q: 1 })).toBeCloseTo(0.7462686567, 7);
  });

  test("the constant is 1 / learning rate unless it is given", () => {
    expect(stepTo({ q: 1, lipschitz: 10 })).toBe(stepTo({ q: 1 }));
    // Delta / L = (-.1, -1.6); h / L = 1 + .02, 4 + .32.
    expect(stepTo({ q: 1, lipschitz: 2 })).toBeCloseTo(1 - 1.7 / (1.02 + 4.32), 6);
  });

  test("the norm is over all tensors together", () => {
    const both = updates.map((update, k) => ({ ...update, b: [k === 0 ? 0.3 : 0] }));
    // h / L = 1 + 10 (.01 + .09), 4 + 10 * .16.
    expect(stepTo({ q: 1 }, both)).toBeCloseTo(1 - 1.7 / (2 + 5.6), 6);
  });
});

test("a larger loss counts more, the more so the larger q", () => {
  const [plain, fair, fairer] = [0, 1, 5].map((q) => stepTo({ q, lipschitz: 1e-6 }));
  expect(fair).toBeLessThan(plain!);
  expect(fairer).toBeLessThan(fair!);
  expect(fairer).toBeGreaterThan(0.6);
});

test("losses of zero and powers beyond float32 give finite steps", () => {
  for (const receivedLoss of [0, 1e-300, 1e6]) {
    const list = [{ ...updates[0]!, receivedLoss }, updates[1]!];
    const step = stepTo({ q: 10 }, list);
    expect(step).toBeGreaterThan(0.59);
    expect(step).toBeLessThan(1.01);
  }
});

test("clients are asked for the received model's loss; an update without it is refused by name", () => {
  const method = compileOn(layout, qFfl, { examples: 32 });
  const client = { clientId: "c", maxRank: undefined, ranks: undefined, directives: [], codecs: [] } as never;
  expect(method.prepare("train", method.initialState(), client).directives).toEqual([
    { kind: "received-loss", version: 1, examples: 32 },
  ]);
  const views = updatesOn(layout, [updates[0]!, { a: [0], b: [0] }]);
  expect(() => aggregateInMemory(method, factors(layout, global), views)).toThrow(
    expect.objectContaining({ code: "update-metrics", details: { updateId: "plan-1" } }),
  );
});
