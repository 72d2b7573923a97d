import { readFileSync } from "node:fs";
import type { Tensor } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { HostTensor, SlotSpec } from "../engine.js";
import { Slot } from "./slot.js";

interface GoldenStep {
  readonly rates: Record<string, number>;
  readonly gradients: Record<string, number[]>;
  readonly gradNorm: number;
  readonly values: Record<string, number[]>;
}
interface Golden {
  readonly shapes: Record<string, number[]>;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly cases: Record<
    string,
    {
      readonly weightDecay: number;
      readonly maxGradNorm: number | null;
      readonly mu: number | null;
      readonly start: Record<string, number[]>;
      readonly steps: GoldenStep[];
      readonly moments: Record<string, { exp_avg: number[]; exp_avg_sq: number[] }>;
    }
  >;
}

const path = new URL("../../../../testdata/adamw/adamw.json", import.meta.url);
const golden = JSON.parse(readFileSync(path, "utf8")) as Golden;

function tensor(shape: readonly number[], values: readonly number[]): Tensor {
  return { dtype: "F32", shape, bytes: new Uint8Array(new Float32Array(values).buffer) };
}

function floats(value: Tensor | undefined): number[] {
  return [...new Float32Array(value!.bytes.slice().buffer)];
}

function host(shape: readonly number[], values: readonly number[]): HostTensor {
  return { dtype: "F32", shape, data: new Float32Array(values) };
}

function slotOf(values: Record<string, Tensor>, options: Partial<SlotSpec> = {}): Slot {
  return new Slot({
    tensors: new Map(Object.entries(values)),
    trained: Object.keys(values),
    scalings: {},
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
    ...options,
  });
}

const plainSgd = { kind: "sgd", momentum: 0, beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0 } as const;
const noClip = { maxGradNorm: undefined, proximalMu: undefined };

test.each(Object.keys(golden.cases))(
  "G28: ten steps equal PyTorch's AdamW, with and without a proximal pull: %s",
  (name) => {
    const { weightDecay, maxGradNorm, mu, start, steps, moments } = golden.cases[name]!;
    const names = Object.keys(golden.shapes);
    const { beta1, beta2, epsilon } = golden;
    const slot = slotOf(Object.fromEntries(names.map((key) => [key, tensor(golden.shapes[key]!, start[key]!)])), {
      optimizer: { kind: "adamw", beta1, beta2, epsilon, weightDecay },
    });

    for (const step of steps) {
      slot.addGradients(new Map(names.map((key) => [key, host(golden.shapes[key]!, step.gradients[key]!)])), undefined);
      const norm = slot.apply({
        learningRates: step.rates,
        maxGradNorm: maxGradNorm ?? undefined,
        proximalMu: mu ?? undefined,
      });

      expect(Math.abs(norm / step.gradNorm - 1)).toBeLessThan(3e-7);
      const values = slot.read();
      for (const key of names) {
        const worst = floats(values.get(key)).map((value, i) => Math.abs(value - step.values[key]![i]!));
        // Two units in the last place of values near 1.
        expect(Math.max(...worst)).toBeLessThan(2.4e-7);
      }
    }
    const state = slot.optimizer.read();
    for (const key of names) {
      if (maxGradNorm === null) {
        expect(floats(state.get(`${key}.exp_avg`))).toEqual(moments[key]!.exp_avg);
        expect(floats(state.get(`${key}.exp_avg_sq`))).toEqual(moments[key]!.exp_avg_sq);
      } else {
        floats(state.get(`${key}.exp_avg`)).forEach((value, i) =>
          expect(value).toBeCloseTo(moments[key]!.exp_avg[i]!, 7),
        );
      }
    }
  },
);

test("gradients of several batches add up before one update", () => {
  const once = slotOf({ w: tensor([2], [1, 2]) });
  const twice = slotOf({ w: tensor([2], [1, 2]) });

  once.addGradients(new Map([["w", host([2], [0.75, -3])]]), undefined);
  twice.addGradients(new Map([["w", host([2], [0.5, -1])]]), undefined);
  twice.addGradients(new Map([["w", host([2], [0.25, -2])]]), undefined);
  const request = { learningRates: { w: 0.1 }, ...noClip };

  expect(twice.apply(request)).toBe(once.apply(request));
  expect(twice.read()).toEqual(once.read());
});

test.each([
  [1.5, 1],
  [0.5, 0.5],
])("a gradient of norm 1 under a limit of %d keeps a norm of %d", (maxGradNorm, expected) => {
  const slot = slotOf({ w: tensor([2], [1, 2]) });
  slot.addGradients(new Map([["w", host([2], [0.6, 0.8])]]), undefined);

  slot.apply({ learningRates: { w: 0 }, maxGradNorm, proximalMu: undefined });

  // After one step the first moment is a tenth of the gradient.
  const moment = floats(slot.optimizer.read().get("w.exp_avg"));
  expect(Math.hypot(...moment) * 10).toBeCloseTo(expected, 5);
});

test("a gradient that is not finite names its tensor and changes nothing", () => {
  const slot = slotOf({ a: tensor([1], [1]), b: tensor([2], [1, 2]) });
  const before = { values: slot.read(), state: slot.optimizer.read() };

  slot.addGradients(
    new Map([
      ["a", host([1], [1])],
      ["b", host([2], [0, NaN])],
    ]),
    undefined,
  );

  expect(() => slot.apply({ learningRates: { a: 1, b: 1 }, ...noClip })).toThrow(
    expect.objectContaining({ code: "update-not-finite", details: { tensor: "b" } }),
  );
  expect(slot.read()).toEqual(before.values);
  expect(slot.optimizer.read()).toEqual(before.state);
  slot.addGradients(
    new Map([
      ["a", host([1], [1])],
      ["b", host([2], [0, 2])],
    ]),
    undefined,
  );
  expect(slot.apply({ learningRates: { a: 1, b: 1 }, ...noClip })).toBeCloseTo(Math.sqrt(5), 12);
});

/** Too little noise to see. */
const noise = { key: new Uint8Array(32), std: 1e-9, divisor: 4 };

test("each example is clipped over all tensors together before the sum, which is divided by the expected batch", () => {
  const slot = slotOf({ a: tensor([1], [0]), b: tensor([2], [0, 0]) });

  // Example 0 has norm 13 (5, 0 and 12), example 1 norm 1.
  slot.addGradients(
    new Map([
      ["a", host([2, 1], [5, 0])],
      ["b", host([2, 2], [0, 12, 1, 0])],
    ]),
    { kind: "flat", clipNorm: 2 },
  );
  const norm = slot.apply({ learningRates: { a: 0, b: 0 }, ...noClip, noise });

  expect(norm).toBeCloseTo(Math.hypot((5 * 2) / 13, 1, (12 * 2) / 13) / 4, 6);
});

test("an empty batch is pure noise, whose deviation is that asked for; the key decides it", () => {
  const size = 50_000;
  const noiseOf = (byte: number): Float32Array => {
    const slot = slotOf({ a: tensor([size], new Array<number>(size).fill(0)) }, { optimizer: plainSgd });
    const key = new Uint8Array(32).fill(byte);
    slot.apply({ learningRates: { a: 1 }, ...noClip, noise: { key, std: 2.5, divisor: 5 } });
    return new Float32Array(floats(slot.read().get("a")));
  };

  const drawn = noiseOf(1);

  const variance = drawn.reduce((sum, x) => sum + x * x, 0) / size;
  // The 1e-9 limits of a normal; with a fixed key this passes always or never.
  expect(Math.abs(variance / 0.25 - 1)).toBeLessThan(6.11 * Math.sqrt(2 / size));
  expect(noiseOf(1)).toEqual(drawn);
  expect(noiseOf(2)).not.toEqual(drawn);
});

test("clipped gradients leave the slot with noise only, and noise comes to clipped gradients only", () => {
  const slot = slotOf({ a: tensor([1], [0]) });
  const one = new Map([["a", host([1, 1], [1])]]);
  const request = { learningRates: { a: 1 }, ...noClip };
  const clipping = { kind: "flat", clipNorm: 1 } as const;
  const refusal = expect.objectContaining({ code: "privacy-invalid" }) as Error;

  slot.addGradients(one, clipping);
  expect(() => slot.addGradients(one, undefined)).toThrow(/into one step/);
  expect(() => slot.apply(request)).toThrow(refusal);
  slot.addGradients(one, clipping);
  expect(() => slot.takeGradients()).toThrow(refusal);
  slot.addGradients(one, undefined);
  expect(() => slot.addGradients(one, clipping)).toThrow(/into one step/);
  expect(() => slot.apply({ ...request, noise })).toThrow(refusal);
  for (const bad of [0, -1, Number.NaN, Infinity]) {
    expect(() => slot.apply({ ...request, noise: { ...noise, std: bad } })).toThrow(refusal);
    expect(() => slot.apply({ ...request, noise: { ...noise, divisor: Math.min(bad, 0) } })).toThrow(refusal);
  }
  expect(floats(slot.read().get("a"))).toEqual([0]);
});

test("without a clip norm the examples' gradients are summed as they are", () => {
  const slot = slotOf({ a: tensor([1], [0]) });
  slot.addGradients(new Map([["a", host([3, 1], [5, -1, 2])]]), undefined);
  slot.addGradients(new Map([["a", host([3, 1], [1, 1, 1])]]), undefined);
  expect(slot.apply({ learningRates: { a: 0 }, ...noClip })).toBe(9);
  slot.addGradients(new Map([["a", host([2, 1], [1, 2])]]), undefined);
  expect(slot.apply({ learningRates: { a: 0 }, ...noClip })).toBe(3);
});

test("a per-example graph is fed the current values once per example", () => {
  const slot = slotOf({ a: tensor([2], [1, 2]) });
  const first = slot.feed("a", [3, 2]);
  expect([...first.data]).toEqual([1, 2, 1, 2, 1, 2]);

  slot.write(new Map([["a", tensor([2], [3, 4])]]));

  expect(slot.feed("a", [3, 2])).toBe(first);
  expect([...first.data]).toEqual([3, 4, 3, 4, 3, 4]);
  expect(slot.feed("a", [2])).toBe(slot.feed("a", [2]));
});

describe("a graph of a higher rank", () => {
  const [a, b, r] = ["m.lora_A.weight", "m.lora_B.weight", "m.lora_R.weight"] as const;
  const start = { [a]: tensor([1, 3], [1, 2, 3]), [b]: tensor([2, 1], [4, 5]), [r]: tensor([1, 1], [6]) };

  test("is fed zeros beyond the adapter's rank, the current values within", () => {
    const slot = slotOf(start);
    expect([...slot.feed(a, [2, 3]).data]).toEqual([1, 2, 3, 0, 0, 0]);
    expect([...slot.feed(b, [2, 2]).data]).toEqual([4, 0, 5, 0]);
    expect([...slot.feed(r, [2, 2]).data]).toEqual([6, 0, 0, 0]);
    slot.write(new Map([[b, tensor([2, 1], [7, 8])]]));
    expect([...slot.feed(b, [2, 2, 2]).data]).toEqual([7, 0, 8, 0, 7, 0, 8, 0]);
    expect([...slot.feed(b, [2, 2]).data]).toEqual([7, 0, 8, 0]);
  });

  test("gives gradients of which the adapter's own ranks count, per example, too", () => {
    const noise = { learningRates: { [b]: 0 }, ...noClip };
    const slot = slotOf({ [b]: start[b] });
    slot.addGradients(new Map([[b, host([2, 2], [3, 99, 4, 99])]]), undefined);
    expect(slot.apply(noise)).toBe(5);
    slot.addGradients(new Map([[b, host([2, 2, 2], [3, 99, 4, 99, 0, 99, 5, 99])]]), undefined);
    expect(floats(slot.takeGradients().get(b))).toEqual([3, 9]);
  });

  test("differs in nothing else", () => {
    for (const [name, shape] of [
      [a, [1, 4]],
      [a, [2, 4]],
      [b, [3, 1]],
      [b, [2, 0]],
      [b, [2, 2, 3, 2]],
    ] as const) {
      expect(() => slotOf(start).feed(name, shape)).toThrow(expect.objectContaining({ code: "adapter-invalid" }));
    }
  });
});

test("the optimizer's state continues in another slot", () => {
  const start = { w: tensor([2, 2], [1, 2, 3, 4]) };
  const gradient = new Map([["w", host([2, 2], [1, -1, 0.5, 2])]]);
  const request = { learningRates: { w: 0.01 }, ...noClip };
  const step = (slot: Slot): void => {
    slot.addGradients(gradient, undefined);
    slot.apply(request);
  };
  const whole = slotOf(start);
  step(whole);
  step(whole);

  const first = slotOf(start);
  step(first);
  const second = slotOf(Object.fromEntries(first.read()));
  second.optimizer.write(first.optimizer.read());
  step(second);

  expect(second.read()).toEqual(whole.read());
  expect([...second.optimizer.read().keys()]).toEqual(["step", "w.exp_avg", "w.exp_avg_sq"]);
});

test.each([
  ["a shape that no batch explains", (slot: Slot) => slot.feed("w", [3, 3]), "adapter-invalid"],
  ["an unknown tensor", (slot: Slot) => slot.feed("x", [2, 2]), "adapter-invalid"],
  ["an unknown scaling", (slot: Slot) => slot.scaling("q"), "adapter-invalid"],
  ["an unknown base delta", (slot: Slot) => slot.baseDelta("q", [4, 2]), "adapter-invalid"],
  ["nothing accumulated", (slot: Slot) => slot.apply({ learningRates: { w: 1 }, ...noClip }), "request-invalid"],
  [
    "values of another shape",
    (slot: Slot) => slot.write(new Map([["w", tensor([4], [1, 2, 3, 4])]])),
    "tensor-invalid",
  ],
  ["optimizer state without moments", (slot: Slot) => slot.optimizer.write(new Map()), "tensor-invalid"],
  ["a missing gradient", (slot: Slot) => slot.addGradients(new Map(), undefined), "adapter-invalid"],
  [
    "example clipping of a plain graph",
    (slot: Slot) => slot.addGradients(new Map([["w", host([2, 2], [1, 1, 1, 1])]]), { kind: "flat", clipNorm: 1 }),
    "request-invalid",
  ],
  [
    "a missing learning rate",
    (slot: Slot) => {
      slot.addGradients(new Map([["w", host([2, 2], [1, 1, 1, 1])]]), undefined);
      slot.apply({ learningRates: {}, ...noClip });
    },
    "request-invalid",
  ],
] as const)("refuses %s", (_name, act, code) => {
  const slot = slotOf({ w: tensor([2, 2], [1, 2, 3, 4]) });
  expect(() => act(slot)).toThrow(expect.objectContaining({ code }));
});

test("a trained tensor must be in the slot, and an evaluation slot has no optimizer", () => {
  expect(() => slotOf({ w: tensor([1], [1]) }, { trained: ["v"] })).toThrow(
    expect.objectContaining({ code: "adapter-invalid" }),
  );
  const slot = slotOf({ w: tensor([1], [1]) }, { trained: [], optimizer: undefined });
  expect(() => slot.optimizer).toThrow(expect.objectContaining({ code: "request-invalid" }));
});

test("gradients can be taken instead of applied: their sum, once, in a copy", () => {
  const slot = slotOf({ w: tensor([2], [1, 2]) }, { optimizer: undefined });
  slot.addGradients(new Map([["w", host([2], [3, 4])]]), undefined);
  slot.addGradients(new Map([["w", host([2], [0.5, -1])]]), undefined);

  const taken = slot.takeGradients();
  slot.addGradients(new Map([["w", host([2], [7, 7])]]), undefined);

  expect(floats(taken.get("w"))).toEqual([3.5, 3]);
  expect(floats(slot.takeGradients().get("w"))).toEqual([7, 7]);
  expect(floats(slot.read().get("w"))).toEqual([1, 2]);
  expect(() => slot.takeGradients()).toThrow(expect.objectContaining({ code: "request-invalid" }) as Error);
});

test("taking a gradient that is not finite is refused by the tensor's name", () => {
  const slot = slotOf({ w: tensor([2], [1, 2]) });
  slot.addGradients(new Map([["w", host([2], [NaN, 4])]]), undefined);

  expect(() => slot.takeGradients()).toThrow(
    expect.objectContaining({ code: "update-not-finite", details: { tensor: "w" } }) as Error,
  );
});
