import type { BaseModelHash, RunSpecInput } from "@fedlora/core";
import { spamLabels } from "./spam-task.js";

/** The run's budget. */
export const privateEpsilon = 8;
/** Far below one over the mails of the largest mailbox, 1,751. */
export const privateDelta = 1e-5;
/** Every mailbox has at least as many mails to train on. */
const leastMails = 690;
/** Optimizer steps of a member per round. */
export const privateLocalSteps = 8;

/**
 * The spam filter with privacy for each mail. Noise asks for another training than the plain run's:
 *
 * - Few steps on large batches: noise is added once a step, whatever the batch.
 * - Fed-SB: noise on plain LoRA's factors is multiplied by one another; here few values are trained, in one factor.
 * - Adam with high rates, for the head above all: it takes most of the clip norm, and carries most of what is learned.
 * - 32 tokens, so that per-example gradients of large batches stay affordable.
 *
 * Chosen on the split of seed 10, like the plain run's settings.
 */
export function privateSpamRunSpec(options: {
  readonly modelHash: BaseModelHash;
  readonly members: number;
  readonly rounds: number;
  readonly localSteps: number;
  readonly seed: number;
}): RunSpecInput {
  const { modelHash, members, rounds, localSteps, seed } = options;
  return {
    name: "private-spam-filter",
    model: { hash: modelHash },
    task: { kind: "sequence-classification", labels: [...spamLabels], positiveLabel: "spam", maxTokens: 32 },
    adapter: { rank: 16, alpha: 32, targetModules: ["query", "value"], variant: "latent" },
    method: { name: "fed-sb" },
    rounds,
    cohort: { size: members, quorum: members, seed },
    weighting: { kind: "uniform" },
    training: {
      localSteps,
      batchSize: 16,
      gradientAccumulation: 4,
      optimizer: { learningRate: 0.1, headLearningRate: 0.5, weightDecay: 0 },
      schedule: { kind: "linear" },
      seed,
    },
    evaluation: { every: 0 },
    privacy: { mode: "example", epsilon: privateEpsilon, delta: privateDelta, clipNorm: 1, minExamples: leastMails },
  };
}
