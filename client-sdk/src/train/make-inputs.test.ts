import { expect, test } from "vitest";
import type { ArtifactInput, ArtifactManifest } from "../engine/artifact.js";
import { makeInputs } from "./make-inputs.js";

const graph = (inputs: ArtifactInput[]) =>
  ({ inputs, request: { length: 4 } }) as unknown as Pick<ArtifactManifest, "inputs" | "request">;
const i32 = (role: ArtifactInput["role"], shape: number[]): ArtifactInput => ({
  name: role,
  role,
  dtype: "I32",
  shape,
});
const weights = (shape: number[]): ArtifactInput => ({ name: "w", role: "loss-weights", dtype: "F32", shape });
const examples = [
  { tokens: [5, 6, 7], label: 2, targetStart: 2, numTargets: 1 },
  { tokens: [8, 9], label: 1, targetStart: 1, numTargets: 1 },
];
const dataOf = (inputs: ArtifactInput[]) =>
  Object.fromEntries(
    Object.entries(makeInputs(graph(inputs), { examples, padTokenId: 3, weight: 0.25 })).map(([name, { data }]) => [
      name,
      [...data],
    ]),
  );

test("rows and positions without an example are padding", () => {
  expect(dataOf([i32("tokens", [3, 4]), i32("attention-mask", [3, 4]), i32("position", [3])])).toEqual({
    tokens: [5, 6, 7, 3, 8, 9, 3, 3, 3, 3, 3, 3],
    "attention-mask": [1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0],
    position: [2, 1, 0],
  });
});

test("a classifier's labels and weights count rows", () => {
  expect(dataOf([i32("labels", [3]), weights([3])])).toEqual({ labels: [2, 1, 0], w: [0.25, 0.25, 0] });
});

test("a language model's stand at the position before each target", () => {
  expect(dataOf([i32("labels", [3, 4]), weights([3, 4])])).toEqual({
    labels: [0, 7, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    w: [0, 0.25, 0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0],
  });
});

test("adapters and base deltas come from the slot; what nobody gave is refused", () => {
  const mask: ArtifactInput = { name: "m", role: "dropout-mask", dtype: "F32", shape: [3, 2] };
  const adapter: ArtifactInput = { name: "a", role: "adapter", dtype: "F32", shape: [1] };

  expect(dataOf([adapter, { ...adapter, role: "base-delta" }])).toEqual({});
  expect(() => dataOf([mask])).toThrow(/unasked/);
});
