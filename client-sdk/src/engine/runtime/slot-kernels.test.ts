import { expect, test } from "vitest";
import { plainKernels, sumOfSquares } from "./slot-kernels.js";

test("squares are summed over exactly the range asked for, whatever is left of a division by four", () => {
  const values = Float32Array.from({ length: 11 }, (_, i) => i + 1);
  for (let from = 0; from <= 11; from++) {
    for (let to = from; to <= 11; to++) {
      const expected = [...values.subarray(from, to)].reduce((sum, value) => sum + value * value, 0);
      expect(sumOfSquares(values, from, to)).toBe(expected);
    }
  }
});

test("the order of the sum is that of the interface", () => {
  // In float64, 2^53 + 1 is 2^53: a 1 is lost if it comes after both big squares, 1 + 1 is not. One after the other, the sum
  // would be 2^53 + 4.
  const big = 2 ** 26;
  for (const values of [Float32Array.of(big, 1, 1, 1, big, 0, 0, 0), Float32Array.of(big, 1, 1, 1, big)]) {
    expect(plainKernels.sumOfSquares(values)).toBe(2 ** 53 + 2);
  }
});

test("a step rounds each of its operations to float32", () => {
  const f32 = Math.fround;
  const [value, slope, decay, rate] = [f32(1 / 3), f32(1 / 7), f32(0.99), f32(0.1)];
  const values = Float32Array.of(value, 1, -1);
  plainKernels.descend(values, Float32Array.of(slope, 0, 0), decay, rate);
  expect(values[0]).toBe(f32(f32(value * decay) - f32(slope * rate)));
  expect([values[1], values[2]]).toEqual([decay, -decay]);
});
