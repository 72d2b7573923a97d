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

const optionsSchema = z.strictObject({ byzantine: byzantineOption, factor: factorOption });

/**
 * Krum: the update whose n - f - 2 nearest others are nearest, by the sum of squared distances, becomes the new global
 * adapter as it is. Distances are those of the effective changes scaling * B A, over all modules together, and of the
 * heads: a client that scales A by c and B by 1 / c moves by nothing. An update counts as one whatever its weight. Needs
 * n >= 2 f + 3 updates.
 *
 * Paper: Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine Learning with Adversaries: Byzantine Tolerant Gradient
 * Descent", 2017. It drops all other updates, honest minorities with data of their own first.
 */
export const krum: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "krum",
  version: 1,
  paper: "Krum (Blanchard et al. 2017), on products",
  summary: "Takes the one update that lies nearest to its neighbours; compares products, not factors.",
  optionsSchema,
  capabilities: robustCapabilities,
  create({ byzantine, factor }, run) {
    assertEnoughUpdates(run, krum.name, 2 * byzantine + 3);
    return createRobustMethod(krum, run, factor, (round) =>
      measuredAggregation(round, (candidates) => {
        const { geometry, points } = candidates;
        const faulty = candidates.faultyOf(byzantine);
        const refusal = tooFew(points, 2 * faulty + 3);
        if (refusal !== undefined) return refusal;
        const picked = smallest(points, krumScores(geometry, points, faulty), 1);
        const shares = meanShares(geometry, picked);
        return combination(round, candidates, { products: shares, heads: shares }, { selected: 1 });
      }),
    );
  },
};
