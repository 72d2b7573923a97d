import fc from "fast-check";
import { expect, test } from "vitest";
import { ExactTotal } from "./exact-total.js";

const units = (value: number): bigint => BigInt(value * 2 ** 298);
const totalOf = (weights: readonly number[]): ExactTotal => {
  const total = new ExactTotal();
  for (const weight of weights) total.add(weight);
  return total;
};
const weight = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 24 }),
  fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(2 ** -149, 3.4028234663852886e38, 1, Math.fround(Math.SQRT1_2), 2 ** 24 - 1),
);

test("the total is exact, in any order and sharding, and rounded once", () => {
  const shuffled = fc
    .array(weight, { maxLength: 12 })
    .chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }), fc.nat(list.length)),
    );
  fc.assert(
    fc.property(shuffled, ([list, other, cut]) => {
      const exact = list.reduce((sum, value) => sum + units(value), 0n);
      const sharded = totalOf(other.slice(0, cut));
      sharded.merge(totalOf(other.slice(cut)));
      // Number rounds an integer to the nearest float64.
      const rounded = Number(exact) * 2 ** -298;
      for (const total of [totalOf(list), totalOf(other), sharded]) {
        expect(total.toBigInt()).toBe(exact);
        expect(total.toNumber()).toBe(rounded);
        expect(total.exact).toBe(units(rounded) === exact ? rounded : undefined);
      }
    }),
    { numRuns: 1000 },
  );
});

test("weights are taken as float32; those that are none are refused", () => {
  expect(totalOf([0.1]).toNumber()).toBe(Math.fround(0.1));
  expect([totalOf([]).toNumber(), totalOf([0, 1e-60]).exact]).toEqual([0, 0]);
  for (const wrong of [-1, NaN, Infinity, 1e39]) {
    expect(() => totalOf([wrong])).toThrow(expect.objectContaining({ code: "update-weight" }));
  }
});
