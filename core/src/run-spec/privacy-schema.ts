import { z } from "zod";
import { positiveInt } from "./bounds.js";

const budget = {
  epsilon: z
    .number()
    .positive()
    .optional()
    .describe("Budget of the run: it stops before it would spend more; above 0, default: unset (accounted only)."),
  delta: z.number().gt(0).lt(1).describe("Delta of the guarantee; above 0, below 1. No default."),
  noiseMultiplier: z
    .number()
    .positive()
    .optional()
    .describe(
      "Standard deviation of the noise over the sensitivity; above 0; default: solved from epsilon and rounds.",
    ),
  clipNorm: z.number().positive().describe("Clip norm (L2) of one unit's contribution; above 0. No default."),
  accountant: z.enum(["pld", "rdp"]).default("pld").describe("How epsilon is computed; default pld."),
  metricsNoise: z
    .number()
    .positive()
    .optional()
    .describe(
      "Noise multiplier of released evaluation counts and losses, which are accounted; default: unset, they are not sent.",
    ),
};

export const privacySchema = z
  .discriminatedUnion("mode", [
    z.strictObject({ mode: z.literal("none").describe("No noise, no guarantee.") }),
    z.strictObject({
      mode: z.literal("example").describe("DP-SGD on the client: protects each training example of a client."),
      ...budget,
      clipping: z
        .enum(["flat", "per-layer", "automatic"])
        .default("flat")
        .describe("Per example: over all tensors, per module, or normalised (automatic); default flat."),
      minExamples: positiveInt.describe(
        "Clients with fewer training examples decline: sampling rate at most the examples of a step (training.batchSize x gradientAccumulation) over this. No default.",
      ),
    }),
    z.strictObject({
      mode: z.literal("client").describe("The coordinator noises the sum: protects a whole client from everyone else."),
      ...budget,
      clipping: z
        .discriminatedUnion("kind", [
          z.strictObject({ kind: z.literal("fixed").describe("clipNorm as it is.") }),
          z.strictObject({
            kind: z.literal("adaptive").describe("clipNorm follows a quantile of the update norms."),
            quantile: z.number().gt(0).lt(1).default(0.5).describe("Share of updates left unclipped; default 0.5."),
            learningRate: z.number().positive().max(10).default(0.2).describe("Of the geometric update; default 0.2."),
            countNoise: z
              .number()
              .positive()
              .optional()
              .describe(
                "Standard deviation of the noise on the number of unclipped updates; default cohort.size / 20.",
              ),
          }),
        ])
        .prefault({ kind: "fixed" })
        .describe("Of each client's update; default fixed."),
      population: positiveInt.describe(
        "Clients that cohorts are drawn from, at least: each takes part with probability cohort.size over this. No default.",
      ),
    }),
    z.strictObject({
      mode: z.literal("local").describe("Each client noises its upload: protects it from the coordinator too."),
      ...budget,
    }),
  ])
  .prefault({ mode: "none" })
  .describe("Differential privacy; default none.");

export type PrivacySpec = z.output<typeof privacySchema>;
