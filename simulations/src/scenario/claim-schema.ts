import { z } from "zod";

/** What a claim can be about: a number of a run, and of its variants means over the seeds. */
export const claimMetrics = [
  "accuracy",
  "loss",
  "perplexity",
  "f1",
  "clientAccuracy",
  "clientLoss",
  "clientPerplexity",
  "meanClientAccuracy",
  "meanClientLoss",
  "worstClientAccuracy",
  "worstClientLoss",
  "rounds",
  "virtualSeconds",
  "waitingSeconds",
  "bytesUp",
  "bytesDown",
  "bytes",
  "bias",
  "epsilon",
] as const;

export type ClaimMetric = (typeof claimMetrics)[number];

/** Metrics that grow from round to round, so that they can be read when a run has come far enough. */
export const growingMetrics = ["rounds", "virtualSeconds", "bytesUp", "bytesDown", "bytes"] as const;

const reached = z.number().positive();
/** A quality that a run reaches, by one of its fields. */
const untilSchema = z
  .strictObject({
    accuracy: reached.max(1).optional().describe("Accuracy on the test examples; above 0, at most 1."),
    loss: reached.optional().describe("Loss on the test examples, in nats; above 0."),
    clientAccuracy: reached
      .max(1)
      .optional()
      .describe("Accuracy on what clients set aside, all together; above 0, at most 1."),
    clientLoss: reached.optional().describe("Loss on what clients set aside, all together, in nats; above 0."),
  })
  .refine(
    (until) => Object.values(until).filter((value) => value !== undefined).length === 1,
    "name one of its fields",
  );

const bound = z.union([z.number(), z.string().min(1)]);

const claimSchema = z
  .strictObject({
    says: z.string().min(1).max(300).describe("The claim in a sentence. No default."),
    metric: z
      .enum(claimMetrics)
      .describe(
        "What is compared. On the test examples: accuracy, loss, perplexity, f1. On what clients set aside: all examples together (client...), the mean over clients (meanClient...), the mean over the worst tenth of the clients, at least one (worstClient...). Over the whole run, all clients: rounds, virtualSeconds, bytesUp, bytesDown, bytes (up and down), epsilon. Means over the rounds: waitingSeconds, bias. No default.",
      ),
    of: z.string().min(1).describe("Name of a variant; `run` where the scenario has none. No default."),
    atLeast: bound.optional().describe("Another variant, or a number, that is not above. This or atMost; no default."),
    atMost: bound.optional().describe("Another variant, or a number, that is not below. This or atLeast; no default."),
    factor: z
      .number()
      .positive()
      .optional()
      .describe("The other variant's value is multiplied by this first; above 0, default 1."),
    margin: z
      .number()
      .optional()
      .describe("Added to the other variant's value, in the metric's own unit; may be negative, default 0."),
    until: untilSchema
      .optional()
      .describe(
        "Read the metric at the first round that reaches this, of both variants: for rounds, virtualSeconds, bytesUp, bytesDown and bytes; what is never reached counts as infinite; default: at the end.",
      ),
  })
  .refine(({ atLeast, atMost }) => (atLeast === undefined) !== (atMost === undefined), "give either atLeast or atMost")
  .refine(
    ({ atLeast, atMost, factor, margin }) =>
      typeof (atLeast ?? atMost) !== "number" || (factor === undefined && margin === undefined),
    "factor and margin are of another variant's value: leave them out beside a number",
  )
  .refine(({ metric, until }) => until === undefined || growingMetrics.some((name) => name === metric), {
    message: `until is for ${growingMetrics.join(", ")}`,
    path: ["until"],
  });

export const claimsSchema = z
  .array(claimSchema)
  .max(50)
  .default([])
  .describe("Statements about the results, which the report checks against the measured figures; default: none.");

/** By which variants are compared: what it took to come so far. */
export const targetSchema = untilSchema
  .optional()
  .describe(
    "A quality: the report says for each variant how many rounds, virtual seconds and bytes it took to reach it; default: none.",
  );

export type Target = ClaimUntil;
export type Claim = z.output<typeof claimSchema>;
export type ClaimUntil = z.output<typeof untilSchema>;
