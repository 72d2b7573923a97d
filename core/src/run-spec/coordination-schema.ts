import { z } from "zod";
import { duration, positiveInt, seed } from "./bounds.js";

export const cohortSchema = z
  .strictObject({
    size: positiveInt.max(100_000).describe("Clients wanted per round; 1 to 100000. No default."),
    overSelection: z
      .number()
      .min(1)
      .max(3)
      .default(1)
      .describe("Plans issued = size x this, rounded up; 1 to 3, default 1."),
    quorum: positiveInt
      .optional()
      .describe("Updates needed to close a round at its deadline; 1 to size, default: half of size, rounded up."),
    seed: seed.default(0).describe("Seed of cohort selection; 0 to 4294967295, default 0."),
  })
  .refine(({ size, quorum }) => quorum === undefined || quorum <= size, {
    path: ["quorum"],
    error: "is larger than cohort.size",
  })
  .describe("Who takes part in a round.");

export const deadlinesSchema = z
  .strictObject({
    enrolMs: duration
      .default(600_000)
      .describe("Longest wait for enough clients before a round starts, in milliseconds up to a week; default 600000."),
    roundMs: duration
      .default(1_800_000)
      .describe("From a plan's issue to the close of training, in milliseconds up to a week; default 1800000."),
    evaluationMs: duration
      .default(600_000)
      .describe("Longest federated evaluation, in milliseconds up to a week; default 600000."),
    aggregationMs: duration
      .default(3_600_000)
      .describe(
        "Longest aggregation; the run then fails, to be resumed; in milliseconds up to a week, default 3600000.",
      ),
    silenceMs: duration
      .default(120_000)
      .describe(
        "A client not heard of for this long loses its slot, which is refilled; in milliseconds up to a week, default 120000.",
      ),
  })
  .prefault({})
  .describe("Every wait ends.");

const defaultMaxExamples = 1_000_000;

export const weightingSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("uniform").describe("Every client counts the same.") }),
    z.strictObject({
      kind: z.literal("by-examples").describe("A client counts by the examples it trained on."),
      maxExamples: positiveInt
        .default(defaultMaxExamples)
        .describe("Cap on the examples one client may count with; at least 1, default 1000000."),
    }),
  ])
  .prefault({ kind: "by-examples" })
  .describe("How contributions are weighted; default by-examples, in a private run uniform.");

/** Whether a weighting leaves the cap where no client's count comes near it. */
export function countsOnDefaultCap(weighting: z.output<typeof weightingSchema>): boolean {
  return weighting.kind === "by-examples" && weighting.maxExamples >= defaultMaxExamples;
}

export const evaluationSchema = z
  .strictObject({
    every: z.int().min(0).default(1).describe("Federated evaluation after every n-th round; 0 never, default 1."),
    metric: z
      .enum(["loss", "accuracy", "f1"])
      .default("loss")
      .describe(
        "Metric of the best-round checkpoint and of early stopping; accuracy and f1 need a classification task; default loss.",
      ),
    target: z
      .number()
      .optional()
      .describe(
        "Stop when the metric reaches this (at or below for loss in nats, at or above for accuracy and f1, 0 to 1); default: unset.",
      ),
  })
  .prefault({})
  .describe("How the global adapter is measured on the clients' held-out data.");

export const limitsSchema = z
  .strictObject({
    maxUpdateNorm: z
      .number()
      .positive()
      .optional()
      .describe("Refuse updates with a larger L2 norm of all deltas; above 0, default: unset."),
  })
  .prefault({})
  .describe("What an update may hold.");

export const policySchema = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("synchronous").describe("A round ends with its cohort's updates.") }),
    z.strictObject({
      kind: z.literal("buffered").describe("FedBuff: a round ends with every `bufferSize` updates, stale ones too."),
      bufferSize: positiveInt.max(100_000).describe("Updates per round; 1 to 100000. No default."),
      maxStaleness: z
        .int()
        .min(0)
        .max(1000)
        .default(10)
        .describe("Oldest update that counts, in rounds; 0 to 1000, default 10."),
    }),
  ])
  .prefault({ kind: "synchronous" })
  .describe("When a round ends; default synchronous.");
