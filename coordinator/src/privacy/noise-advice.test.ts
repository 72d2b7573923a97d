import { compileRunSpec, referenceModules, type BaseModelHash, type ModelManifest, type RunSpec } from "@fedlora/core";
import { expect, test } from "vitest";
import { noiseAdvice } from "./noise-advice.js";

const model: ModelManifest = {
  format: "fedlora-model/1",
  family: "bert",
  name: "minilm-l6",
  hash: "0".repeat(64) as BaseModelHash,
  numLayers: 6,
  numParameters: 1,
  tensors: [],
  ...referenceModules("minilm-l6"),
};

function specOf(adapter: object, method: string, mode: "local" | "none"): RunSpec {
  return compileRunSpec({
    name: "run",
    model: { hash: model.hash },
    task: { kind: "causal-lm" },
    adapter: { rank: 8, targetModules: ["query"], ...adapter },
    method: { name: method },
    rounds: 2,
    cohort: { size: 3 },
    privacy: mode === "none" ? { mode } : { mode, epsilon: 8, delta: 1e-5, clipNorm: 1 },
  });
}

test("a private run is told of the method that leaves less noise in the weights", () => {
  expect(noiseAdvice(specOf({}, "fedavg", "local"), model, 1)).toEqual([
    expect.stringMatching(/^Better: fed-sb leaves [\d.]+ times less noise in the weights than fedavg/),
  ]);
});

test("a run of that method, and one without privacy, are told nothing", () => {
  expect(noiseAdvice(specOf({ variant: "latent" }, "fed-sb", "local"), model, 1)).toEqual([]);
  expect(noiseAdvice(specOf({}, "fedavg", "none"), model, 1)).toEqual([]);
});
