import { compileRunSpec, referenceModules, type RunSpec, type RunSpecInput } from "@fedlora/core";
import { expect, test } from "vitest";
import { noiseVerdict, runNoise } from "./run-noise.js";

const model = referenceModules("minilm-l6");
const local = { mode: "local", epsilon: 8, delta: 1e-5, clipNorm: 0.5 } as const;

function specOf(more: Partial<RunSpecInput> = {}): RunSpec {
  return compileRunSpec({
    name: "test",
    model: { hash: "0".repeat(64) },
    task: { kind: "causal-lm" },
    adapter: { rank: 8, alpha: 16, targetModules: ["query", "value"] },
    rounds: 5,
    cohort: { size: 4 },
    privacy: local,
    ...more,
  });
}

test("the noise on the entries is the run's own", () => {
  expect(runNoise(specOf(), model, 3)?.entries).toMatchObject({ std: 3, concentration: 0.25 });
});

test("a run without privacy has none", () => {
  expect(runNoise(specOf({ privacy: { mode: "none" } }), model, 3)).toBeUndefined();
});

test("the better method is named with its factor, and the rank up to which Fed-SB is the quieter one", () => {
  const noise = runNoise(specOf(), model, 0.01)!;
  const times = (noise.chosen!.grown / noise.better!.grown).toFixed(1);
  expect(noiseVerdict(noise)).toBe(
    `Better: fed-sb leaves ${times} times less noise in the weights than fedavg for the same guarantee; fed-sb stays below ffa-lora up to rank 32.`,
  );
});

test("a run of the best method, or of one without a closed form, is told so", () => {
  const latent = specOf({
    method: { name: "fed-sb" },
    adapter: { rank: 8, targetModules: ["query"], variant: "latent" },
  });
  expect(noiseVerdict(runNoise(latent, model, 1)!)).toMatch(/^fed-sb leaves the least noise/);
  expect(noiseVerdict(runNoise(specOf({ method: { name: "lora-fair" } }), model, 1)!)).toMatch(/no closed form/);
});
