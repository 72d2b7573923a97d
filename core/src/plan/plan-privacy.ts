import { z } from "zod";
import type { TrainingSpec } from "../run-spec/training-schema.js";

const shared = {
  /** Standard deviation over the sensitivity. */
  noiseMultiplier: z.number().positive(),
  /** L2 norm that one unit's contribution is clipped to. */
  clipNorm: z.number().positive(),
  /** Of the guarantee that the run promises, in (0, 1). */
  delta: z.number().gt(0).lt(1),
  /** Noise multiplier of evaluation counts and losses; absent: they are not sent. */
  metricsNoise: z.number().positive().optional(),
};

/** What a client has to do for privacy in this plan, the same for the training and the evaluation of a run. */
export const planPrivacySchema = z.discriminatedUnion("mode", [
  /** DP-SGD by Poisson batches of `expectedBatch` examples on the average; `minExamples` training examples at least. */
  z.strictObject({
    mode: z.literal("example"),
    ...shared,
    clipping: z.enum(["flat", "per-layer", "automatic"]),
    minExamples: z.int().min(1),
  }),
  /** Clip the update to `clipNorm` before it is sent; the coordinator clips again and adds the noise. */
  z.strictObject({
    mode: z.literal("client"),
    ...shared,
    /** Present: the update says how many examples it counts with, at most so many; absent: it says 1. */
    maxExamples: z.int().min(1).optional(),
  }),
  /** Clip the update, then add noise of `noiseMultiplier` times its sensitivity, 2 `clipNorm` (any two updates). */
  z.strictObject({ mode: z.literal("local"), ...shared }),
]);

export type PlanPrivacy = z.output<typeof planPrivacySchema>;

/** Expected size of a Poisson batch: over a client's number of examples it is the sampling rate of DP-SGD. */
export function expectedBatch({
  batchSize,
  gradientAccumulation,
}: Pick<TrainingSpec, "batchSize" | "gradientAccumulation">): number {
  return batchSize * gradientAccumulation;
}
