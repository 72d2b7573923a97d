import { z } from "zod";
import type { MethodDefinition } from "../method.js";
import { createRobustMethod, factorOption, robustCapabilities } from "../primitive/robust-method.js";
import { centredShares, meanShares, usualNorm } from "../primitive/robust-rules.js";
import { combination, measuredAggregation } from "../primitive/robust-selection.js";

const optionsSchema = z.strictObject({
  bound: z
    .number()
    .positive()
    .optional()
    .describe(
      "Radius tau: what one update can pull the centre by in an iteration, as a Frobenius norm of all scaling * B A; above 0, default: the round's median norm of a change.",
    ),
  headBound: z
    .number()
    .positive()
    .optional()
    .describe("The same for the heads, an L2 norm; above 0, default: the round's median norm."),
  iterations: z.int().min(1).max(100).default(3).describe("Iterations, 1 to 100, default 3."),
  factor: factorOption,
});

/**
 * Centred clipping: from v, at first the global adapter, every iteration takes v + sum_k p_k min(1, bound / ||x_k - v||)
 * (x_k - v). For modules x_k is the effective change scaling * B A of all of them together; heads are a vector of their
 * own. v is a combination of the updates' models throughout, so only their inner products are computed; the result is
 * decomposed to the run's rank (`truncationError`). Without a bound it is the lower median of the norms of the round's
 * changes, as in norm-bound.
 *
 * Paper: Karimireddy, He, Jaggi, "Learning from History for Byzantine Robust Optimization", 2021. The paper also lets
 * clients send momentum; here they send plain changes.
 */
export const centredClipping: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "centred-clipping",
  version: 1,
  paper: "Centred clipping (Karimireddy et al. 2021), on products",
  summary: "Moves a centre towards the updates by steps of bounded size, measured on the product B A.",
  optionsSchema,
  capabilities: robustCapabilities,
  create: ({ iterations, ...options }, run) =>
    createRobustMethod(centredClipping, run, options.factor, (round) =>
      measuredAggregation(round, (candidates) => {
        const { geometry, points } = candidates;
        const { bound = usualNorm(geometry.products, points), headBound = usualNorm(geometry.heads, points) } = options;
        const means = meanShares(geometry, points);
        const products = centredShares(geometry.products, means, bound, iterations);
        const heads = centredShares(geometry.heads, means, headBound, iterations);
        return combination(round, candidates, { products, heads }, { bound, headBound });
      }),
    ),
};
