import { inspectModel } from "@fedlora/client-sdk";
import { compileRunSpec, createAccountant, expectedBatch } from "@fedlora/core";
import { expect, test } from "vitest";
import { privateDelta, privateEpsilon, privateSpamRunSpec } from "./private-task.js";
import { miniLmFolder } from "./spam-task.js";

/** Of ada, who has most: no unit's outright publication may pass for delta. */
const largestMailbox = 1751;

test("the private demo's run fits the model, is not evaluated on the way, and can be paid for", async () => {
  const manifest = await inspectModel(miniLmFolder());
  const input = privateSpamRunSpec({ modelHash: manifest.hash, members: 4, rounds: 5, localSteps: 8, seed: 0 });

  const { privacy, evaluation, training, weighting } = compileRunSpec(input, { manifest });

  if (privacy.mode !== "example") throw new Error(`mode ${privacy.mode}`);
  expect(evaluation.every).toBe(0);
  expect(weighting.kind).toBe("uniform");
  expect(privacy.delta).toBe(privateDelta);
  expect(privateDelta).toBeLessThan(0.1 / largestMailbox);
  // A multiplier of 1.5 is within the budget: what is solved for the run is at most that.
  const mechanism = {
    kind: "sampled-gaussian",
    noiseMultiplier: 1.5,
    samplingRate: expectedBatch(training) / privacy.minExamples,
  } as const;
  const { epsilon } = createAccountant("rdp").epsilon([{ mechanism, count: 40 }], privateDelta);
  expect(epsilon).toBeLessThan(privateEpsilon);
});
