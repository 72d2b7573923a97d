import { plainKernels } from "@fedlora/client-sdk/parts";
import { RandomStream, randomKey } from "@fedlora/core";
import { expect, test } from "vitest";
import { openSlotKernels } from "./simd-slot-kernels.js";

const stream = new RandomStream(randomKey(5));
const random = (length: number): Float32Array =>
  Float32Array.from({ length }, () => (stream.uniform() - 0.5) * 10 ** (6 * stream.uniform() - 3));

// More than one page of memory among them, and every remainder of a division by four.
test.each([0, 1, 2, 3, 4, 7, 6272, 40_001])("%i numbers: bits are those of plain loops", (length) => {
  const kernels = openSlotKernels();
  const [values, gradient] = [random(length), random(length)];
  const expected = values.slice();
  const [decay, rate] = [Math.fround(0.999), Math.fround(0.3)];

  expect(kernels.sumOfSquares(gradient)).toBe(plainKernels.sumOfSquares(gradient));
  kernels.descend(values, gradient, decay, rate);
  plainKernels.descend(expected, gradient, decay, rate);
  expect(values).toEqual(expected);
});

test("what is not finite stays so", () => {
  const kernels = openSlotKernels();
  for (const at of [0, 3, 4, 5]) {
    const values = random(6);
    values[at] = Number.NaN;
    expect(kernels.sumOfSquares(values)).toBeNaN();
    values[at] = Number.NEGATIVE_INFINITY;
    expect(kernels.sumOfSquares(values)).toBe(Number.POSITIVE_INFINITY);
  }
});
