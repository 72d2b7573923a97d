import { z } from "zod";
import { hash, positiveInt } from "./bounds.js";

const initExamples = positiveInt.max(1_000_000);
export const initSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("seeded").describe("A Kaiming-uniform, B zero, from the training seed and each tensor's name."),
  }),
  z.strictObject({
    kind: z
      .literal("gradient")
      .describe("LoRA-SB: from the clients' gradient sketches, in round 1, which trains nothing; latent adapters."),
    examples: initExamples.default(128).describe("Examples per client for the gradient; at least 1, default 128."),
    step: z
      .number()
      .positive()
      .max(1)
      .default(5e-4)
      .describe("Size of the simulated first step, lr / (warm-up share x steps); above 0, at most 1, default 5e-4."),
    sign: z
      .boolean()
      .default(true)
      .describe("Take the signs of the gradient, as AdamW's first step does; default true."),
  }),
  z.strictObject({
    kind: z
      .literal("activation")
      .describe("EVA: A from the main directions of the modules' inputs, by subspace iteration over the clients."),
    examples: initExamples.default(128).describe("Examples per client; at least 1, default 128."),
    iterations: positiveInt.max(20).default(3).describe("Rounds spent, which train nothing; 1 to 20, default 3."),
  }),
  z.strictObject({
    kind: z.literal("file").describe("An adapter made beforehand, such as PiSSA's, given when the run is created."),
    hash: hash.describe("Content hash of the adapter's safetensors file, 64 hex digits."),
    subtracted: z
      .boolean()
      .default(false)
      .describe("PiSSA: the adapter's starting product is subtracted from the base weights; default false."),
  }),
]);

export type InitSpec = z.output<typeof initSchema>;
