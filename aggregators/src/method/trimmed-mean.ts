import { z } from "zod";
import type { MethodDefinition } from "../method.js";
import { coordinateAggregation } from "../primitive/robust-coordinate-pass.js";
import { trimmedMean as trimmedMeanOf } from "../primitive/robust-coordinates.js";
import { createRobustMethod, factorOption, robustCapabilities } from "../primitive/robust-method.js";

const optionsSchema = z.strictObject({
  trim: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0.2)
    .describe("Share of the updates dropped at either end of every coordinate; 0 to below 0.5, default 0.2."),
  factor: factorOption,
});

/**
 * Trimmed mean: of every element of the products B_k A_k the `floor(trim n)` lowest and highest values are dropped and the
 * rest averaged, each update counting the same; heads likewise. The result has full rank as a rule and is decomposed to
 * the run's (`truncationError`). With `factor: "b"` the elements are those of B, and the result is exact.
 *
 * As long as no more updates are hostile than are dropped at one end, every element stays within the range of the honest
 * ones, before the decomposition.
 *
 * Paper: Yin, Chen, Ramchandran, Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", 2018.
 */
export const trimmedMean: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "trimmed-mean",
  version: 1,
  paper: "Coordinate-wise trimmed mean (Yin et al. 2018), on products",
  summary: "Averages each element of the products without the lowest and the highest values.",
  optionsSchema,
  capabilities: robustCapabilities,
  create: ({ trim, factor }, run) =>
    createRobustMethod(trimmedMean, run, factor, (round) => coordinateAggregation(round, trimmedMeanOf(trim))),
};
