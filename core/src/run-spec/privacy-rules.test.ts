import { describe, expect, test } from "vitest";
import { compileRunSpec } from "./compile.js";
import type { RunSpecInput } from "./schema.js";

const plain: RunSpecInput = {
  name: "spam",
  model: { hash: "ab".repeat(32) },
  task: { kind: "sequence-classification", labels: ["ham", "spam"] },
  adapter: { rank: 2, targetModules: ["query"] },
  rounds: 3,
  cohort: { size: 4 },
};
const budget = { epsilon: 8, delta: 1e-5, clipNorm: 1 };
const example = { mode: "example", ...budget, minExamples: 100 } as const;
const client = { mode: "client", ...budget, population: 40 } as const;
const local = { mode: "local", ...budget } as const;
const steps = { localSteps: 5 };

describe("private run specs", () => {
  test("weigh clients alike and have no quorum where cohorts are drawn by chance, without anybody saying so", () => {
    expect(compileRunSpec({ ...plain, privacy: client })).toMatchObject({
      weighting: { kind: "uniform" },
      cohort: { size: 4 },
      privacy: { accountant: "pld", clipping: { kind: "fixed" } },
    });
    expect(compileRunSpec({ ...plain, privacy: client }).cohort.quorum).toBeUndefined();
    expect(compileRunSpec({ ...plain, privacy: local })).toMatchObject({
      weighting: { kind: "uniform" },
      cohort: { quorum: 2 },
    });
    expect(compileRunSpec(plain)).toMatchObject({ weighting: { kind: "by-examples" }, privacy: { mode: "none" } });
  });

  test("are the same when they are compiled again", () => {
    for (const input of [{ privacy: client }, { privacy: local }, { privacy: example, training: steps }]) {
      const spec = compileRunSpec({ ...plain, ...input });
      expect(compileRunSpec(spec)).toEqual(spec);
    }
  });

  test("may cap the weights by examples, where the cap says something", () => {
    const weighting = { kind: "by-examples", maxExamples: 500 } as const;
    expect(compileRunSpec({ ...plain, privacy: client, weighting }).weighting).toEqual(weighting);
  });

  test.each<[string, Partial<RunSpecInput>, string, RegExp]>([
    ["no noise at all", { privacy: { ...local, noiseMultiplier: 0 } }, "privacy.noiseMultiplier", /above 0/],
    ["no budget", { privacy: { mode: "local", delta: 1e-5, clipNorm: 1 } }, "privacy.epsilon", /how much noise/],
    ["an epsilon of 0", { privacy: { ...local, epsilon: 0 } }, "privacy.epsilon", /above 0/],
    ["a delta of 1", { privacy: { ...local, delta: 1 } }, "privacy.delta", /below 1/],
    ["no delta", { privacy: { mode: "local", epsilon: 1, clipNorm: 1 } as never }, "privacy.delta", /missing/],
    [
      "a mode that there is not",
      { privacy: { mode: "central" } as never },
      "privacy.mode",
      /allowed are none, example, client, local$/,
    ],
    ["a rate above 1 over clients", { privacy: { ...client, population: 3 } }, "privacy.population", /rate above 1/],
    [
      "a rate above 1 over examples",
      { privacy: { ...example, minExamples: 15 }, training: { ...steps, gradientAccumulation: 2 } },
      "privacy.minExamples",
      /rate above 1/,
    ],
    [
      "epochs over private examples",
      { privacy: example, training: { localEpochs: 1 } },
      "training.localSteps",
      /steps/,
    ],
    [
      "weights by counts that are not capped",
      { privacy: client, weighting: { kind: "by-examples" } },
      "weighting",
      /maxExamples/,
    ],
    [
      "weights by counts that leave the client",
      { privacy: local, weighting: { kind: "by-examples", maxExamples: 5 } },
      "weighting.kind",
      /uniform/,
    ],
    [
      "a target of evaluations that are not noised",
      { privacy: client, evaluation: { target: 0.1 } },
      "evaluation.target",
      /metricsNoise/,
    ],
    ["stale updates", { privacy: local, policy: { kind: "buffered", bufferSize: 2 } }, "policy.kind", /synchronous/],
    [
      "sketches of private data",
      { privacy: local, adapter: { ...plain.adapter, init: { kind: "activation", iterations: 1 } } },
      "adapter.init.kind",
      /sketches/,
    ],
    [
      "control variates",
      { privacy: local, training: { controlVariates: true, optimizer: { kind: "sgd" } } },
      "training.controlVariates",
      /second quantity/,
    ],
    ["kept updates", { privacy: client, keepUpdates: true }, "keepUpdates", /without noise/],
    ["over-selection", { privacy: client, cohort: { size: 4, overSelection: 1.5 } }, "cohort.overSelection", /Poisson/],
    ["a quorum", { privacy: client, cohort: { size: 4, quorum: 2 } }, "cohort.quorum", /empty cohort/],
    ["ranks that differ", { privacy: client, rankPlan: { kind: "capability" } }, "rankPlan.kind", /every value/],
  ])("with %s are refused by the field", (_, changes, path, reason) => {
    expect(() => compileRunSpec({ ...plain, ...changes })).toThrow(
      expect.objectContaining({ code: "spec-invalid", details: { path } }),
    );
    expect(() => compileRunSpec({ ...plain, ...changes })).toThrow(reason);
  });
});
