import { z } from "zod";

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
  /** DP-SGD; `minExamples` training examples at least, `training.batchSize` is the expected size of a Poisson batch. */
  z.strictObject({
    mode: z.literal("example"),
    ...shared,
    clipping: z.enum(["flat", "per-layer", "automatic"]),
    minExamples: z.int().min(1),
  }),
  /** Clip the update to `clipNorm` before it is sent; the coordinator clips again and adds the noise. */
  z.strictObject({ mode: z.literal("client"), ...shared }),
  /** Clip the update, then add noise of `noiseMultiplier` times its sensitivity, 2 `clipNorm` (any two updates). */
  z.strictObject({ mode: z.literal("local"), ...shared }),
]);

export type PlanPrivacy = z.output<typeof planPrivacySchema>;
