import { z } from "zod";
import type { MethodDefinition } from "../method.js";
import { createRobustMethod, factorOption, robustCapabilities } from "../primitive/robust-method.js";
import { boundedShares, isBeyond, meanShares, usualNorm } from "../primitive/robust-rules.js";
import { combination, measuredAggregation } from "../primitive/robust-selection.js";

const optionsSchema = z.strictObject({
  bound: z
    .number()
    .positive()
    .optional()
    .describe(
      "Largest Frobenius norm of an update's change of all scaling * B A together; above 0, default: the round's median norm.",
    ),
  headBound: z
    .number()
    .positive()
    .optional()
    .describe("Largest L2 norm of an update's change of the heads; above 0, default: the round's median norm."),
  factor: factorOption,
});

/**
 * Norm bound: the weighted mean of the updates' models, each first moved towards the global adapter until its change is
 * no larger than the bound: P + sum_k p_k min(1, bound / ||P_k - P||) (P_k - P), where P_k holds the effective changes
 * scaling * B A of all modules. Heads have a norm and a bound of their own. The mean of products is decomposed to the
 * run's rank; what that leaves out is `truncationError`.
 *
 * Without a bound it is the lower median of the round's norms, each of products and heads its own: what an ordinary
 * update's norm is depends on the model, the rate and the round, and half of the updates would have to be hostile to
 * raise it (the rule of FLAME, Nguyen et al., USENIX Security 2022, on products).
 *
 * Paper: Sun et al., "Can You Really Backdoor Federated Learning?", 2019, there on the flattened update: for LoRA that
 * would be blind, since a client can hide any product behind a small A and a large B.
 */
export const normBound: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "norm-bound",
  version: 1,
  paper: "Norm clipping (Sun et al. 2019), on products",
  summary: "Bounds how far one update can move the model, measured on the product B A.",
  optionsSchema,
  capabilities: robustCapabilities,
  create: (options, run) =>
    createRobustMethod(normBound, run, options.factor, (round) =>
      measuredAggregation(round, (candidates) => {
        const { geometry, points } = candidates;
        const { bound = usualNorm(geometry.products, points), headBound = usualNorm(geometry.heads, points) } = options;
        const means = meanShares(geometry, points);
        const products = boundedShares(geometry.products, means, bound);
        const heads = boundedShares(geometry.heads, means, headBound);
        const clipped = points.filter(
          (point) => isBeyond(geometry.products, point, bound) || isBeyond(geometry.heads, point, headBound),
        ).length;
        return combination(round, candidates, { products, heads }, { clipped, bound, headBound });
      }),
    ),
};
