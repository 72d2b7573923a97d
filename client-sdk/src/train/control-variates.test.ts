import { clientControlName, fromFloat32, serverControlName, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Slot } from "../engine/runtime/slot.js";
import { controlOffsets, newControls } from "./control-variates.js";

interface Case extends Readonly<Record<"scale" | "target" | "x" | "c" | "own" | "y" | "new", readonly number[]>> {
  readonly steps: number;
  readonly eta: number;
  readonly maxGradNorm: number | null;
}
const path = new URL("../../../testdata/client-directives/golden.json", import.meta.url);
const { scaffold } = JSON.parse(readFileSync(path, "utf8")) as { scaffold: readonly Case[] };

const name = "base_model.model.query.lora_A.weight";
const tensor = (values: readonly number[]) => fromFloat32(Float32Array.from(values), [values.length]);
const startOf = (x: readonly number[], c: readonly number[], own: readonly number[]): StateDict =>
  toStateDict([
    [name, tensor(x)],
    [serverControlName(name), tensor(c)],
    [clientControlName(name), tensor(own)],
    ["head.weight", tensor([1])],
  ]);
const close = (got: Float32Array, expected: readonly number[]): void =>
  got.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(2e-6));

describe("SCAFFOLD on a client", () => {
  test.each(scaffold)("is the paper's, option II, as numpy computes it: $steps steps, clip $maxGradNorm", (row) => {
    const start = startOf(row.x, row.c, row.own);
    const slot = new Slot({
      tensors: new Map([[name, tensor(row.x)]]),
      trained: [name],
      scalings: {},
      optimizer: { kind: "sgd", beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0 },
      gradientOffsets: controlOffsets([name], start),
    });
    const valuesOf = (): Float32Array => toFloat32(slot.read().get(name)!);
    for (let step = 0; step < row.steps; step++) {
      const data = valuesOf().map((w, i) => row.scale[i]! ** 2 * (w - row.target[i]!));
      slot.addGradients(new Map([[name, { dtype: "F32", shape: [data.length], data }]]), undefined);
      const maxGradNorm = row.maxGradNorm ?? undefined;
      slot.apply({ learningRates: { [name]: row.eta }, maxGradNorm, proximalMu: undefined });
    }
    const trained = slot.read();
    const controls = newControls(trained, start, row.steps, { [name]: row.eta });

    close(valuesOf(), row.y);
    expect([...controls.keys()]).toEqual([clientControlName(name)]);
    close(toFloat32(controls.get(clientControlName(name))!), row.new);
  });

  test("G35: after one step from 1 to 0.9 at rate 0.1 holds a gradient of 1", () => {
    const trained = toStateDict([[name, tensor([0.9])]]);

    const controls = newControls(trained, startOf([1], [0], [0]), 1, { [name]: 0.1 });

    expect(toFloat32(controls.get(clientControlName(name))!)[0]).toBeCloseTo(1, 6);
  });

  test("leaves tensors without controls alone, and refuses a tensor that had no learning rate", () => {
    const start = startOf([1], [0], [0]);

    expect([...controlOffsets([name, "head.weight"], start).keys()]).toEqual([name]);
    expect(() => newControls(toStateDict([[name, tensor([1])]]), start, 1, { [name]: 0 })).toThrow(/never moved/);
  });
});
