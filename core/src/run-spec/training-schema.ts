import { z } from "zod";
import { positiveInt, seed } from "./bounds.js";
import { optimizerSchema } from "./optimizer-schema.js";
import { checkRules, trainingRules } from "./spec-rules.js";

const trainingFields = z.strictObject({
  localSteps: positiveInt
    .max(1_000_000)
    .optional()
    .describe("Optimizer steps per round, 1 to 1000000; give this or localEpochs, not both; default: unset."),
  localEpochs: positiveInt
    .max(1000)
    .optional()
    .describe("Passes over the client's data per round, 1 to 1000; default 1 when localSteps is absent."),
  batchSize: positiveInt.max(4096).default(8).describe("Examples per micro-batch; 1 to 4096, default 8."),
  gradientAccumulation: positiveInt
    .max(1024)
    .default(1)
    .describe("Micro-batches per optimizer step; 1 to 1024, default 1."),
  optimizer: optimizerSchema.prefault({}).describe("How the trained tensors move."),
  schedule: z
    .strictObject({
      kind: z
        .enum(["constant", "linear", "cosine"])
        .default("constant")
        .describe("Learning rate over the whole run's steps; default constant."),
      warmupSteps: z
        .int()
        .min(0)
        .default(0)
        .describe("Linear warm-up from 0 over this many steps of the run; at least 0, default 0."),
    })
    .prefault({})
    .describe("How the learning rate moves."),
  proximalMu: z
    .number()
    .positive()
    .optional()
    .describe("FedProx: weight of the pull to the received adapter, (mu / 2) x distance^2; above 0, default: unset."),
  controlVariates: z
    .boolean()
    .default(false)
    .describe("SCAFFOLD: correct the clients' drift by control variates; needs sgd without momentum; default false."),
  maxGradNorm: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe(
      "Clip the global L2 norm of the gradients to this; above 0, null switches it off, default 1; privacy.mode example clips examples instead.",
    ),
  memory: z
    .enum(["plain", "recompute"])
    .default("plain")
    .describe("recompute: halve the activations for about 40 % more time; default plain."),
  seed: seed.default(0).describe("Seed of initialisation, shuffling and dropout; 0 to 4294967295, default 0."),
});

export const trainingSchema = trainingFields.superRefine(checkRules(trainingRules));

export type TrainingSpec = z.output<typeof trainingFields>;
