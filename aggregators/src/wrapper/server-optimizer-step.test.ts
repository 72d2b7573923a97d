import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { serverOptimizerStep } from "./server-optimizer-step.js";
import type { ServerOptimizer } from "./server-optimizer-step.js";

interface Case {
  readonly spec: ServerOptimizer;
  readonly start: readonly number[];
  readonly rounds: readonly Record<"aggregated" | "x" | "m" | "v", readonly number[]>[];
}
const { cases } = JSON.parse(
  readFileSync(new URL("../../../testdata/server-optimizers/golden.json", import.meta.url), "utf8"),
) as { cases: readonly Case[] };

const adam = { kind: "fedadam", learningRate: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 } as const;
const firstStep = (spec: ServerOptimizer, kind: Float32ArrayConstructor | Float64ArrayConstructor) => {
  const tensor = { values: kind.of(1), aggregated: kind.of(0.9), first: kind.of(0), second: kind.of(0) };
  serverOptimizerStep(spec, tensor);
  return { x: tensor.values[0]!, v: tensor.second[0]! };
};

describe("a server optimizer", () => {
  test.each<[ServerOptimizer, number]>([
    [adam, 0.9090909091],
    [{ ...adam, kind: "fedyogi", learningRate: 0.01 }, 0.9909090909],
    [{ kind: "fedadagrad", learningRate: 0.1, beta1: 0, tau: 1e-3 }, 0.900990099],
    [{ kind: "fedavgm", learningRate: 1, momentum: 0.9 }, 0.9],
  ])("G30, G31: takes the first step that the formulas give: %j", (spec, expected) => {
    expect(Math.abs(firstStep(spec, Float64Array).x - expected)).toBeLessThan(1e-9);
    expect(Math.abs(firstStep(spec, Float32Array).x - expected)).toBeLessThan(1e-6);
  });

  test("G31: keeps Yogi's second moment", () => {
    expect(firstStep({ ...adam, kind: "fedyogi" }, Float64Array).v).toBeCloseTo(1e-4, 12);
  });

  test.each(cases)("follows numpy over several rounds: $spec", ({ spec, start, rounds }) => {
    const [values, first, second] = [start, start, start].map((list) => Float64Array.from(list));
    first!.fill(0);
    second!.fill(0);
    for (const { aggregated, x, m, v } of rounds) {
      const tensor = { values: values!, aggregated: Float64Array.from(aggregated), first: first!, second: second! };
      serverOptimizerStep(spec, tensor);
      x.forEach((expected, i) => expect(Math.abs(values![i]! - expected)).toBeLessThan(1e-12));
      m.forEach((expected, i) => expect(Math.abs(first![i]! - expected)).toBeLessThan(1e-12));
      v.forEach((expected, i) => expect(Math.abs(second![i]! - expected)).toBeLessThan(1e-12));
    }
  });
});
