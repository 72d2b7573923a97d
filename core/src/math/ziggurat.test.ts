import { expect, test } from "vitest";
import { edges, heights, layers, tailStart } from "./ziggurat.js";

test("all layers have one area, and the last ends on top of the curve", () => {
  const area = (edges[0] ?? 0) * (heights[1] ?? 0);
  for (let layer = 1; layer < layers; layer++) {
    const own = (edges[layer] ?? 0) * ((heights[layer + 1] ?? 0) - (heights[layer] ?? 0));
    expect(Math.abs(own / area - 1)).toBeLessThan(1e-12);
  }
});

test("edges lie on the curve and fall", () => {
  expect(edges[1]).toBe(tailStart);
  for (let i = 1; i <= layers; i++) {
    expect(heights[i]).toBeCloseTo(Math.exp(-((edges[i] ?? 0) ** 2) / 2), 14);
    expect(edges[i]).toBeLessThan(edges[i - 1] ?? 0);
  }
});
