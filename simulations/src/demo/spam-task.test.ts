import { readFile } from "node:fs/promises";
import { inspectModel } from "@fedlora/client-sdk";
import { compileRunSpec, parseRunSpec } from "@fedlora/core";
import { expect, test } from "vitest";
import { miniLmFolder, spamRunSpec, uniformStream } from "./spam-task.js";

test("the example's run spec is for the model that the demo uses, and compiles", async () => {
  const manifest = await inspectModel(miniLmFolder());
  const text = await readFile(new URL("../../../examples/spam-filter.yaml", import.meta.url), "utf8");
  const spec = parseRunSpec(text, { manifest });
  expect(spec.model.hash).toBe(manifest.hash);
  expect(() =>
    compileRunSpec(spamRunSpec({ modelHash: manifest.hash, members: 4, rounds: 5, localSteps: 20, seed: 0 }), {
      manifest,
    }),
  ).not.toThrow();
});

test("the bootstrap's uniforms are in [0, 1), seeded, with the mean of uniforms", () => {
  const draw = (seed: number): number[] => {
    const next = uniformStream(seed);
    return Array.from({ length: 4000 }, next);
  };
  const values = draw(1);
  expect(draw(1)).toEqual(values);
  expect(draw(2)).not.toEqual(values);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThan(1);
  // Standard error of the mean 0.0046: six of them, a false alarm in 1e9.
  expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length - 0.5)).toBeLessThan(0.028);
});
