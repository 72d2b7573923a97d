import { z } from "zod";
import { positiveInt } from "./bounds.js";
import { initSchema } from "./init-schema.js";
import { adapterRules, checkRules } from "./spec-rules.js";

const adapterFields = z.strictObject({
  rank: positiveInt.max(256).describe("LoRA rank r of every adapted module; 1 to 256. No default."),
  alpha: z
    .number()
    .positive()
    .optional()
    .describe("LoRA alpha; scaling is alpha / rank, or alpha / sqrt(rank) with rslora. Above 0; default: 2 x rank."),
  variant: z
    .enum(["lora", "latent", "vera"])
    .default("lora")
    .describe(
      "Form of the adapter: lora B A; latent B R A with frozen B and A and a trained R (LoRA-XS, LoRA-SB); vera diag(b) B diag(d) A with frozen shared B and A; default lora.",
    ),
  init: initSchema.prefault({ kind: "seeded" }).describe("How the adapter of round 0 is made; default seeded."),
  rslora: z.boolean().default(false).describe("Rank-stabilised scaling (alpha / sqrt(rank)); default false."),
  dropout: z
    .number()
    .min(0)
    .max(0.9)
    .default(0)
    .describe("Dropout probability on the adapter's input while training; 0 to 0.9, default 0."),
  targetModules: z
    .union([z.array(z.string().min(1)).min(1), z.string().min(1)])
    .describe(
      "PEFT's target_modules: a list of name suffixes, one regular expression for the whole name, or `all-linear`.",
    ),
  layers: z
    .array(z.int().min(0))
    .optional()
    .describe(
      "PEFT's layers_to_transform: indices, from 0, of the layers to adapt; with a list of targetModules; default: all.",
    ),
  rankPattern: z
    .record(z.string(), positiveInt.max(256))
    .default({})
    .describe(
      "PEFT's rank_pattern: rank (1 to 256) by a pattern for the end of a module's name, the first in sorted order counts; default {}.",
    ),
  alphaPattern: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe("PEFT's alpha_pattern: alpha (above 0) by pattern, as in rankPattern; default {}."),
  modulesToSave: z
    .array(z.string().min(1))
    .optional()
    .describe(
      "Modules trained in full and saved with the adapter; default: the task's head (`classifier`), none for language modelling.",
    ),
});

export const adapterSchema = adapterFields.superRefine(checkRules(adapterRules));

export type AdapterSpec = z.output<typeof adapterFields>;
