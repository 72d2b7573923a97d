import { z } from "zod";
import { adapterSchema } from "./adapter-schema.js";
import { hash, positiveInt } from "./bounds.js";
import {
  cohortSchema,
  deadlinesSchema,
  evaluationSchema,
  limitsSchema,
  policySchema,
  weightingSchema,
} from "./coordination-schema.js";
import { privacyRules } from "./privacy-rules.js";
import { privacySchema } from "./privacy-schema.js";
import { rankPlanSchema } from "./rank-plan-schema.js";
import { serverOptimizerSchema } from "./server-optimizer-schema.js";
import { checkRules, runRules } from "./spec-rules.js";
import { taskSchema } from "./task-schema.js";
import { trainingSchema } from "./training-schema.js";

export { adapterSchema, rankPlanSchema, taskSchema, trainingSchema };
export type { AdapterSpec } from "./adapter-schema.js";
export type { InitSpec } from "./init-schema.js";
export type { PrivacySpec } from "./privacy-schema.js";
export type { LegendPlanSpec, RankPlanSpec, TiersPlanSpec } from "./rank-plan-schema.js";
export type { ServerOptimizerSpec } from "./server-optimizer-schema.js";
export type { TaskSpec } from "./task-schema.js";
export type { TrainingSpec } from "./training-schema.js";

const runSpecFields = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
    .describe("The run's name: lower-case letters, digits and hyphens, at most 63 characters."),
  model: z
    .strictObject({
      hash: hash.describe("Content hash of the base model, 64 hex digits; `fedlora model inspect FOLDER` prints it."),
    })
    .describe("The frozen base model, which every client holds."),
  task: taskSchema.describe("What the model learns to do."),
  adapter: adapterSchema.describe("The LoRA adapter: which modules get one, and how large."),
  method: z
    .strictObject({
      name: z.string().default("fedavg").describe("Aggregation method; `fedlora methods` lists them; default fedavg."),
      options: z.record(z.string(), z.unknown()).default({}).describe("The method's own options; default {}."),
    })
    .prefault({})
    .describe("How updates become the next global adapter."),
  rounds: positiveInt.max(100_000).describe("Rounds to run; 1 to 100000. No default."),
  cohort: cohortSchema,
  deadlines: deadlinesSchema,
  training: trainingSchema.prefault({}).describe("What a client does in a round."),
  weighting: weightingSchema,
  evaluation: evaluationSchema,
  limits: limitsSchema,
  codec: z
    .string()
    .regex(/^(f32|f16|bf16|int8(:[1-9][0-9]{0,4})?|topk:(0?\.(?!0+$)[0-9]{1,6}|1))$/)
    .default("f32")
    .describe(
      "Coding of updates on the wire: f32, f16, bf16, int8:BLOCK (values per scale, default 64), topk:DENSITY (share of values kept, 0.000001 to 1); default f32.",
    ),
  errorFeedback: z
    .boolean()
    .default(true)
    .describe("With int8 and topk, clients add what coding lost to their next update; default true."),
  rankPlan: rankPlanSchema,
  serverOptimizer: serverOptimizerSchema
    .prefault({ kind: "none" })
    .describe("What the coordinator does with the aggregated change (FedOpt); default none: adds it."),
  policy: policySchema,
  privacy: privacySchema,
  keepUpdates: z
    .boolean()
    .default(false)
    .describe("Keep individual updates after their round's commit; default false: they are deleted."),
});

/**
 * The run spec: everything a person decides about a run, in YAML or JSON. Strict: an unknown key is refused.
 * Every field carries a description with unit, range and default; `fedlora run schema` prints the JSON Schema.
 */
export const runSpecSchema = runSpecFields.superRefine(checkRules([...runRules, ...privacyRules]));

/** As written, before defaults. */
export type RunSpecInput = z.input<typeof runSpecSchema>;
/** Validated, with defaults; `compileRunSpec` also fills in those that depend on other fields. */
export type RunSpec = z.output<typeof runSpecFields>;
