import { type PlanInstructions, type PlanPrivacy, trainingSchema } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { fakeInstructions, fakeRole } from "../testing/fake-plan.js";
import { assertPrivacySound } from "./check-plan.js";

const shared = { noiseMultiplier: 1, clipNorm: 1, delta: 1e-5 };
const example: PlanPrivacy = { mode: "example", ...shared, clipping: "flat", minExamples: 64 };
const training = trainingSchema.parse({ localSteps: 3, batchSize: 8, gradientAccumulation: 8 });
const planOf = (changes: Partial<PlanInstructions> = {}): PlanInstructions =>
  fakeInstructions([fakeRole("a", [2])], { training, privacy: example, ...changes });

test("plans of all modes and none are sound", () => {
  for (const privacy of [undefined, example, { mode: "client", ...shared }, { mode: "local", ...shared }] as const) {
    expect(() => assertPrivacySound(planOf({ privacy }), "train")).not.toThrow();
  }
  expect(() => assertPrivacySound(planOf({ updateForm: "value" }), "train")).not.toThrow();
  expect(() => assertPrivacySound(planOf({ privacy: { ...example, metricsNoise: 2 } }), "evaluate")).not.toThrow();
  // Steps of an epoch tell how many examples there are, which mode local hides with the rest.
  const epochs = trainingSchema.parse({ localEpochs: 1 });
  expect(() =>
    assertPrivacySound(planOf({ privacy: { mode: "local", ...shared }, training: epochs }), "train"),
  ).not.toThrow();
});

describe("refused:", () => {
  test.each<[string, Partial<PlanInstructions>, string, string]>([
    [
      "no noise",
      { privacy: { ...example, noiseMultiplier: 0 } },
      "privacy-invalid",
      "noiseMultiplier 0 must be a finite number above 0",
    ],
    [
      "noise that is not a number",
      { privacy: { ...example, noiseMultiplier: Number.NaN } },
      "privacy-invalid",
      "noiseMultiplier NaN must be a finite number above 0",
    ],
    [
      "a clip norm of 0",
      { privacy: { ...example, clipNorm: 0 } },
      "privacy-invalid",
      "clipNorm 0 must be a finite number above 0",
    ],
    [
      "an infinite clip norm",
      { privacy: { mode: "local", ...shared, clipNorm: Infinity } },
      "privacy-invalid",
      "clipNorm Infinity must be a finite number above 0",
    ],
    ["a delta of 1", { privacy: { ...example, delta: 1 } }, "privacy-invalid", "delta 1 must be above 0 and below 1"],
    [
      "a delta of 0",
      { privacy: { mode: "client", ...shared, delta: 0 } },
      "privacy-invalid",
      "delta 0 must be above 0 and below 1",
    ],
    [
      "no noise on metrics",
      { privacy: { ...example, metricsNoise: 0 } },
      "privacy-invalid",
      "metricsNoise 0 must be a finite number above 0",
    ],
    [
      "a sampling rate above 1",
      { privacy: { ...example, minExamples: 63 } },
      "privacy-invalid",
      "a batch of 64 of 63 examples (minExamples) is a sampling rate above 1",
    ],
    [
      "epochs",
      { training: trainingSchema.parse({ localEpochs: 1 }) },
      "privacy-invalid",
      "privacy mode example needs localSteps: the number of steps of an epoch tells how many examples there are",
    ],
    [
      "values under local noise",
      { privacy: { mode: "local", ...shared }, updateForm: "value" },
      "privacy-invalid",
      "updates of the form value do not go with privacy mode local",
    ],
    [
      "sketches",
      { updateForm: "sketch" },
      "privacy-invalid",
      "updates of the form sketch do not go with privacy mode example",
    ],
    [
      "received-loss",
      { directives: [{ kind: "received-loss", version: 1, examples: 8 }] },
      "privacy-unbounded",
      "the directive received-loss releases something that privacy mode example does not account for",
    ],
    [
      "gradient-sketch",
      { directives: [{ kind: "gradient-sketch", version: 1, examples: 8 }] },
      "privacy-unbounded",
      "the directive gradient-sketch releases something that privacy mode example does not account for",
    ],
    [
      "control variates",
      { directives: [{ kind: "control-variate", version: 1 }] },
      "privacy-unbounded",
      "the directive control-variate releases something that privacy mode example does not account for",
    ],
  ])("%s", (_, changes, code, problem) => {
    expect(() => assertPrivacySound(planOf(changes), "train")).toThrow(
      expect.objectContaining({ code, message: `the plan's privacy: ${problem}` }),
    );
  });

  test("an evaluation without noise", () => {
    expect(() => assertPrivacySound(planOf(), "evaluate")).toThrow(
      expect.objectContaining({
        code: "privacy-unbounded",
        message:
          "the plan's privacy: an evaluation's counts and losses are released without noise (metricsNoise is not set)",
      }),
    );
  });
});

test("directives that look at the parameters alone go with privacy", () => {
  const directives = [
    { kind: "proximal", version: 1, mu: 0.1 },
    { kind: "rank-penalty", version: 1, lambda: 0.1, gamma: 0.5 },
    { kind: "warm-up", version: 1, steps: 2 },
  ] as const;

  expect(() => assertPrivacySound(planOf({ directives }), "train")).not.toThrow();
});
