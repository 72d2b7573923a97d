import { z } from "zod";
import type { MethodDefinition } from "../method.js";
import {
  assertEnoughUpdates,
  byzantineOption,
  createRobustMethod,
  factorOption,
  robustCapabilities,
} from "../primitive/robust-method.js";
import { krumScores, meanShares, smallest } from "../primitive/robust-rules.js";
import { combination, measuredAggregation, tooFew } from "../primitive/robust-selection.js";

const optionsSchema = z.strictObject({
  byzantine: byzantineOption,
  selected: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe("Updates to average; 1 to 10000, at most n - f count; default: n - 2 f - 2, which the proof covers."),
  factor: factorOption,
});

/**
 * Multi-Krum: the weighted mean of the models with the smallest Krum scores. The mean is that of the products B A,
 * decomposed to the run's rank: the factors of a selected client may be scaled against each other (A by c, B by 1 / c)
 * and would drag a mean of factors anywhere. What the rank leaves out is `truncationError`. Distances as in `krum`.
 *
 * Paper: Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", 2017.
 */
export const multiKrum: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "multi-krum",
  version: 1,
  paper: "Multi-Krum (Blanchard et al. 2017), on products",
  summary: "Averages the products of the updates that lie nearest to their neighbours.",
  optionsSchema,
  capabilities: robustCapabilities,
  create({ byzantine, selected, factor }, run) {
    assertEnoughUpdates(run, multiKrum.name, 2 * byzantine + 3);
    return createRobustMethod(multiKrum, run, factor, (round) =>
      measuredAggregation(round, (candidates) => {
        const { geometry, points } = candidates;
        const faulty = candidates.faultyOf(byzantine);
        const refusal = tooFew(points, 2 * faulty + 3);
        if (refusal !== undefined) return refusal;
        const count = Math.min(selected ?? points.length - 2 * faulty - 2, points.length - faulty);
        const picked = smallest(points, krumScores(geometry, points, faulty), count);
        const shares = meanShares(geometry, picked);
        return combination(round, candidates, { products: shares, heads: shares }, { selected: picked.length });
      }),
    );
  },
};
