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
});

describe("refused:", () => {
  test.each<[string, Partial<PlanInstructions>, string]>([
    ["no noise", { privacy: { ...example, noiseMultiplier: 0 } }, "privacy-invalid"],
    ["noise that is not a number", { privacy: { ...example, noiseMultiplier: Number.NaN } }, "privacy-invalid"],
    ["a clip norm of 0", { privacy: { ...example, clipNorm: 0 } }, "privacy-invalid"],
    ["an infinite clip norm", { privacy: { mode: "local", ...shared, clipNorm: Infinity } }, "privacy-invalid"],
    ["a delta of 1", { privacy: { ...example, delta: 1 } }, "privacy-invalid"],
    ["a delta of 0", { privacy: { mode: "client", ...shared, delta: 0 } }, "privacy-invalid"],
    ["no noise on metrics", { privacy: { ...example, metricsNoise: 0 } }, "privacy-invalid"],
    ["a sampling rate above 1", { privacy: { ...example, minExamples: 63 } }, "privacy-invalid"],
    ["epochs", { training: trainingSchema.parse({ localEpochs: 1 }) }, "privacy-invalid"],
    ["values under local noise", { privacy: { mode: "local", ...shared }, updateForm: "value" }, "privacy-invalid"],
    ["sketches", { updateForm: "sketch" }, "privacy-invalid"],
    ["received-loss", { directives: [{ kind: "received-loss", version: 1, examples: 8 }] }, "privacy-unbounded"],
    ["gradient-sketch", { directives: [{ kind: "gradient-sketch", version: 1, examples: 8 }] }, "privacy-unbounded"],
    ["control variates", { directives: [{ kind: "control-variate", version: 1 }] }, "privacy-unbounded"],
  ])("%s", (_, changes, code) => {
    expect(() => assertPrivacySound(planOf(changes), "train")).toThrow(expect.objectContaining({ code }));
  });

  test("an evaluation without noise", () => {
    expect(() => assertPrivacySound(planOf(), "evaluate")).toThrow(
      expect.objectContaining({ code: "privacy-unbounded" }),
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
