import { expect, test } from "vitest";
import { sgdStep } from "./sgd.js";

test("plain SGD goes against the gradient, after its weight decay", () => {
  const values = Float32Array.of(1, -2);

  sgdStep(values, new Float32Array(2), Float32Array.of(0.5, 1), { weightDecay: 0.1 }, 0.1);

  expect(values[0]).toBeCloseTo(1 * (1 - 0.01) - 0.05, 6);
  expect(values[1]).toBeCloseTo(-2 * (1 - 0.01) - 0.1, 6);
});

test("momentum adds up as PyTorch's does", () => {
  // torch.optim.SGD([1.], lr=0.1, momentum=0.9), gradient 1 in each of three steps: 0.9, 0.71, 0.439.
  const values = Float32Array.of(1);
  const buffer = new Float32Array(1);
  const seen: number[] = [];

  for (let step = 0; step < 3; step++) {
    sgdStep(values, buffer, Float32Array.of(1), { momentum: 0.9, weightDecay: 0 }, 0.1);
    seen.push(values[0]!);
  }

  [0.9, 0.71, 0.439].forEach((expected, i) => expect(seen[i]).toBeCloseTo(expected, 6));
});
