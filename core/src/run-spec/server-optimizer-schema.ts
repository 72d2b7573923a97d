import { z } from "zod";

const rate = (value: number) =>
  z.number().positive().max(100).default(value).describe(`Server learning rate; above 0, default ${value}.`);
const beta = (value: number, what: string) =>
  z.number().min(0).lt(1).default(value).describe(`Decay of the ${what} moment; 0 to below 1, default ${value}.`);
const tau = z.number().positive().default(1e-3).describe("Added to the root; above 0, default 1e-3.");
export const serverOptimizerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none").describe("The aggregated change is added as it is.") }),
  z.strictObject({
    kind: z.literal("fedavgm").describe("Server momentum (Hsu et al. 2019)."),
    learningRate: rate(1),
    momentum: z.number().min(0).lt(1).default(0.9).describe("Momentum; 0 to below 1, default 0.9."),
  }),
  z.strictObject({
    kind: z.literal("fedadagrad").describe("Reddi et al. 2021."),
    learningRate: rate(0.1),
    beta1: beta(0, "first"),
    tau,
  }),
  z.strictObject({
    kind: z.literal("fedadam").describe("Reddi et al. 2021, without bias correction."),
    learningRate: rate(0.1),
    beta1: beta(0.9, "first"),
    beta2: beta(0.99, "second"),
    tau,
  }),
  z.strictObject({
    kind: z.literal("fedyogi").describe("Reddi et al. 2021."),
    learningRate: rate(0.01),
    beta1: beta(0.9, "first"),
    beta2: beta(0.99, "second"),
    tau,
  }),
]);

export type ServerOptimizerSpec = z.output<typeof serverOptimizerSchema>;
