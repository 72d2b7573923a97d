import { z } from "zod";
import { duration, positiveInt } from "./bounds.js";

const rank = positiveInt.max(256);

const tierSchema = z.strictObject({
  rank: rank.optional().describe("Largest rank of each module; 1 to 256, default: the adapter's."),
  depth: positiveInt
    .max(10_000)
    .optional()
    .describe("Layers that are trained, counted from the output; 1 to 10000, default: all."),
});

const uniformSchema = z.strictObject({ kind: z.literal("uniform").describe("Every client trains the whole adapter.") });

const capabilitySchema = z.strictObject({
  kind: z
    .literal("capability")
    .describe("A client trains the largest power of two that its own rank limit and the adapter's rank allow."),
});

const tiersSchema = z.strictObject({
  kind: z.literal("tiers").describe("A client trains what its class gets, as it declared it by `deviceClass`."),
  classes: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/), tierSchema)
    .refine((classes) => Object.keys(classes).length > 0, { error: "names no class" })
    .describe("What each class gets, by its name: lower-case letters, digits and hyphens, at most 32 characters."),
  others: tierSchema
    .prefault({})
    .describe("What clients of no class, or of one that is not listed, get; default {}: the whole adapter."),
});

const legendSchema = z.strictObject({
  kind: z
    .literal("legend")
    .describe(
      "LEGEND (Liu et al. 2025): each device trains as many layers, counted from the output, as its measured speed, upload and memory carry; planned anew each round. Depth, rank distribution and waiting time are the paper's knobs; each description says where the default is from.",
    ),
  rankStep: z
    .int()
    .min(0)
    .max(256)
    .default(1)
    .describe(
      "By how much the rank grows from a layer to the next towards the output, up to adapter.rank; 0 to 256, default 1. The growing distribution is the paper's, the step ours.",
    ),
  minRank: rank
    .optional()
    .describe("Rank of the lowest layer; 1 to 256, default: such that the top layer reaches adapter.rank, at least 1."),
  totalRank: positiveInt
    .max(1_000_000)
    .optional()
    .describe(
      "Sum of the layers' ranks, to which the distribution is scaled; from layers x minRank to layers x adapter.rank; default: unset, not scaled. A fixed budget is our reading of the paper.",
    ),
  minDepth: positiveInt
    .max(10_000)
    .default(1)
    .describe("Least layers that a device trains; 1 to 10000, default 1. Ours; the paper asks for at least one."),
  maxWaitShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe(
      "Longest mean waiting time of a round's devices for the slowest, as a share of the slowest's time; 0 to 1, default 0.1. The bound is the paper's (its epsilon), as a share it is ours: it then fits every model.",
    ),
  maxWaitMs: duration
    .optional()
    .describe(
      "The same bound in milliseconds, in place of maxWaitShare, up to a week; default: unset. The form of the paper.",
    ),
  smoothing: z
    .number()
    .min(0)
    .max(0.99)
    .default(0.8)
    .describe(
      "Weight of a device's earlier measurements against its latest (the moving average's rho); 0 to 0.99, default 0.8. The moving average is the paper's, 0.8 ours.",
    ),
  memoryShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.8)
    .describe("Share of a device's memory that a training step may take; above 0 to 1, default 0.8. Ours."),
  stragglers: z
    .enum(["keep", "set-aside"])
    .default("keep")
    .describe(
      "What happens when the slowest device is at minDepth and the others still wait too long: keep ends the planning there; set-aside plans the others as if it were not there, which pays with overSelection or a quorum; default keep. Both readings of the paper's algorithm are possible.",
    ),
});

export const rankPlanSchema = z
  .discriminatedUnion("kind", [uniformSchema, capabilitySchema, tiersSchema, legendSchema])
  .prefault({ kind: "uniform" })
  .describe("Which layers and ranks each client trains; default uniform.");

export type RankPlanSpec = z.output<typeof rankPlanSchema>;
export type LegendPlanSpec = z.output<typeof legendSchema>;
export type TiersPlanSpec = z.output<typeof tiersSchema>;
