import { z } from "zod";

export const optimizerSchema = z.strictObject({
  kind: z
    .enum(["adamw", "sgd"])
    .default("adamw")
    .describe("adamw (Loshchilov and Hutter 2019), or sgd, plain or with momentum; default adamw."),
  momentum: z.number().min(0).lt(1).default(0).describe("Momentum of sgd; 0 to below 1, default 0."),
  learningRate: z
    .number()
    .positive()
    .max(1)
    .default(5e-4)
    .describe("Peak learning rate; above 0, at most 1, default 5e-4."),
  headLearningRate: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe("Learning rate of the modules to save; above 0, at most 1, default: learningRate."),
  loraPlusRatio: z
    .number()
    .positive()
    .max(1000)
    .default(1)
    .describe("LoRA+ (Hayou et al. 2024): learning rate of B over that of A; above 0, at most 1000, default 1."),
  beta1: z.number().min(0).lt(1).default(0.9).describe("Decay of the first moment; 0 to below 1, default 0.9."),
  beta2: z.number().min(0).lt(1).default(0.999).describe("Decay of the second moment; 0 to below 1, default 0.999."),
  epsilon: z
    .number()
    .positive()
    .default(1e-8)
    .describe("Added to the root of the second moment; above 0, default 1e-8."),
  weightDecay: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe("Decoupled weight decay on matrices, not on biases; 0 to 1, default 0.01."),
});
