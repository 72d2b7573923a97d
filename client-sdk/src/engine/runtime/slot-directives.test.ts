import { fromFloat32, toFloat32 } from "@fedlora/core";
import type { Tensor } from "@fedlora/core";
import { expect, test } from "vitest";
import type { HostTensor, SlotSpec } from "../engine.js";
import { Slot } from "./slot.js";

const sgd = { kind: "sgd", beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0 } as const;
const adamw = { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 } as const;
const tensor = (shape: readonly number[], values: readonly number[]): Tensor =>
  fromFloat32(Float32Array.from(values), shape);
const host = (shape: readonly number[], values: readonly number[]): HostTensor => ({
  dtype: "F32",
  shape,
  data: Float32Array.from(values),
});
const slotOf = (tensors: Record<string, Tensor>, more: Partial<SlotSpec> = {}): Slot =>
  new Slot({
    tensors: new Map(Object.entries(tensors)),
    trained: Object.keys(tensors),
    scalings: {},
    optimizer: sgd,
    ...more,
  });
const valuesOf = (slot: Slot, name: string): number[] => [...toFloat32(slot.read().get(name)!)];
const plain = { maxGradNorm: undefined, proximalMu: undefined };

test("offsets are added after clipping", () => {
  const slot = slotOf({ w: tensor([2], [1, 1]) }, { gradientOffsets: new Map([["w", tensor([2], [10, -20])]]) });
  slot.addGradients(new Map([["w", host([2], [30, 40])]]), undefined);

  const norm = slot.apply({ ...plain, maxGradNorm: 5, learningRates: { w: 0.1 } });

  expect(norm).toBe(50);
  valuesOf(slot, "w").forEach((value, i) => expect(value).toBeCloseTo([1 - 0.1 * (3 + 10), 1 - 0.1 * (4 - 20)][i]!, 6));
});

test("an offset of a tensor that is not trained, or of another shape, is refused", () => {
  const offsets = (name: string, length: number): Partial<SlotSpec> => ({
    gradientOffsets: new Map([[name, tensor([length], Array<number>(length).fill(0))]]),
  });

  expect(() => slotOf({ w: tensor([2], [1, 1]) }, offsets("v", 2))).toThrow(/trains no tensor "v"/);
  expect(() => slotOf({ w: tensor([2], [1, 1]) }, offsets("w", 3))).toThrow(/expected F32 \[2\]/);
});

test("a tail penalty pulls both tails, before clipping", () => {
  const more = { tailPenalties: [{ a: "a", b: "b", from: 1, lambda: 1 }] };
  const slot = slotOf({ a: tensor([2, 1], [5, 3]), b: tensor([1, 2], [7, 4]) }, more);
  slot.addGradients(
    new Map([
      ["a", host([2, 1], [0, 0])],
      ["b", host([1, 2], [0, 0])],
    ]),
    undefined,
  );

  // The loss is |4| * |3|: gradients 4 for A's tail, 3 for B's, norm 5.
  const norm = slot.apply({ ...plain, maxGradNorm: 1, learningRates: { a: 0.1, b: 0.1 } });

  expect(norm).toBe(5);
  expect(valuesOf(slot, "a")[0]).toBe(5);
  expect(valuesOf(slot, "a")[1]).toBeCloseTo(3 - 0.1 * 0.8, 5);
  expect(valuesOf(slot, "b")[0]).toBe(7);
  expect(valuesOf(slot, "b")[1]).toBeCloseTo(4 - 0.1 * 0.6, 5);
});

test("a held tensor stays as it is, bit by bit, with its moments, and counts for no norm", () => {
  const slot = slotOf({ a: tensor([2], [-0, 0.3]), b: tensor([1], [1]) }, { optimizer: adamw });
  const before = slot.optimizer.read();
  const gradients = new Map([
    ["a", host([2], [100, 100])],
    ["b", host([1], [3])],
  ]);
  slot.addGradients(gradients, undefined);

  const norm = slot.apply({ ...plain, learningRates: { a: 0.1, b: 0.1 }, held: ["a"] });

  expect(norm).toBe(3);
  expect(Object.is(valuesOf(slot, "a")[0], -0)).toBe(true);
  expect(valuesOf(slot, "a")[1]).toBe(Math.fround(0.3));
  expect(slot.optimizer.read().get("a.exp_avg")).toEqual(before.get("a.exp_avg"));
  expect(valuesOf(slot, "b")[0]).toBeLessThan(1);

  slot.addGradients(gradients, undefined);
  slot.apply({ ...plain, learningRates: { a: 0.1, b: 0.1 } });
  expect(valuesOf(slot, "a")[1]).toBeLessThan(0.3);
});
