import { z } from "zod";
import { positiveInt } from "./bounds.js";

export const taskSchema = z.discriminatedUnion("kind", [
  z
    .strictObject({
      kind: z.literal("sequence-classification").describe("One label per text, by a head on the encoder."),
      labels: z
        .array(z.string().min(1))
        .min(2)
        .max(1000)
        .describe("Label names in the order of the head's outputs; 2 to 1000, distinct."),
      positiveLabel: z.string().optional().describe("Label that F1 is reported for; default: the last label."),
      maxTokens: positiveInt
        .max(8192)
        .default(128)
        .describe("Longest input in tokens, longer ones are truncated; 1 to 8192, default 128."),
    })
    .refine(({ labels }) => new Set(labels).size === labels.length, { path: ["labels"], error: "two labels are equal" })
    .refine(({ labels, positiveLabel }) => positiveLabel === undefined || labels.includes(positiveLabel), {
      path: ["positiveLabel"],
      error: "is not among the labels",
    }),
  z.strictObject({
    kind: z.literal("causal-lm").describe("The next token, given those before it."),
    maxTokens: positiveInt.max(8192).default(256).describe("Longest sequence in tokens; 1 to 8192, default 256."),
    maskPrompt: z
      .boolean()
      .default(true)
      .describe("Take the loss on completion tokens only where an example has a prompt; default true."),
  }),
]);

export type TaskSpec = z.output<typeof taskSchema>;
