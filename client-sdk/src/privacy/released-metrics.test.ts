import { type PlanInstructions, type PlanPrivacy, trainingSchema, type UpdateMetrics } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { fakeInstructions, fakeRole } from "../testing/fake-plan.js";
import { releasedMetrics, releasedProgress } from "./released-metrics.js";

const shared = { noiseMultiplier: 1, clipNorm: 1, delta: 1e-5 };
const example: PlanPrivacy = { mode: "example", ...shared, clipping: "flat", minExamples: 64 };
const local: PlanPrivacy = { mode: "local", ...shared };
const client: PlanPrivacy = { mode: "client", ...shared };
const steps = { localSteps: 3 };
const epochs = { localEpochs: 2 };
const planOf = (privacy: PlanPrivacy | undefined, training: object = steps): PlanInstructions =>
  fakeInstructions([fakeRole("a", [2])], { privacy, training: trainingSchema.parse(training) });

describe("metrics", () => {
  const evaluation = { count: 8, lossSum: 3, confusion: [4, 0, 0, 4] };
  const metrics: UpdateMetrics = {
    numExamples: 250,
    numSteps: 3,
    trainLoss: 0.5,
    evaluation,
    trainMs: 1234,
    receivedLoss: 0.7,
  };

  test("of a run without privacy leave as they are", () => {
    expect(releasedMetrics(planOf(undefined), metrics)).toEqual(metrics);
  });

  test.each([example, client, local])(
    "in mode $mode tell nothing but the plan's own steps and noised counts",
    (privacy) => {
      expect(releasedMetrics(planOf(privacy), metrics)).toEqual({
        numExamples: 1,
        numSteps: 3,
        trainLoss: undefined,
        evaluation,
        trainMs: 0,
      });
    },
  );

  test.each([example, client, local])("in mode $mode do not tell how many steps an epoch took", (privacy) => {
    expect(releasedMetrics(planOf(privacy, epochs), metrics).numSteps).toBe(0);
  });

  test("count no more examples than a plan of mode client lets a client weigh", () => {
    const counted = (maxExamples: number): number =>
      releasedMetrics(planOf({ ...client, maxExamples }), metrics).numExamples;

    expect(counted(100)).toBe(100);
    expect(counted(1000)).toBe(250);
  });
});

describe("progress", () => {
  const progress = { stage: "training", step: 2, totalSteps: 7, loss: 0.5, tokensPerSecond: 90 } as const;

  test("of a run without privacy is told as it is", () => {
    expect(releasedProgress(planOf(undefined, epochs), "train", progress)).toEqual(progress);
  });

  test("of a private training has no loss, and steps where the plan fixed their number", () => {
    expect(releasedProgress(planOf(local), "train", progress)).toEqual({ ...progress, loss: Number.NaN });
    const hidden = { ...progress, loss: Number.NaN, step: 0, totalSteps: 0 };
    expect(releasedProgress(planOf(local, epochs), "train", progress)).toEqual(hidden);
    // The steps of an evaluation follow from the number of examples.
    expect(releasedProgress(planOf(local), "evaluate", progress)).toEqual(hidden);
  });
});
