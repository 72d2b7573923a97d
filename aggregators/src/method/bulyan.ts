import { z } from "zod";
import type { MethodDefinition } from "../method.js";
import { coordinateAggregation } from "../primitive/robust-coordinate-pass.js";
import { meanAroundMedian } from "../primitive/robust-coordinates.js";
import {
  assertEnoughUpdates,
  byzantineOption,
  createRobustMethod,
  factorOption,
  robustCapabilities,
} from "../primitive/robust-method.js";
import { repeatedKrum } from "../primitive/robust-rules.js";
import { measuredAggregation, tooFew } from "../primitive/robust-selection.js";

const optionsSchema = z.strictObject({ byzantine: byzantineOption, factor: factorOption });

/**
 * Bulyan: Krum, repeated, chooses theta = n - 2 f updates (distances as in `krum`); then every element of the products
 * B_k A_k becomes the mean of the theta - 2 f values closest to the median of the chosen; heads likewise. Each update
 * counts the same. The result is decomposed to the run's rank (`truncationError`); with `factor: "b"` the elements are
 * those of B, and it is exact. Needs n >= 4 f + 3 updates.
 *
 * Paper: El Mhamdi, Guerraoui, Rouault, "The Hidden Vulnerability of Distributed Learning in Byzantium", 2018.
 */
export const bulyan: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "bulyan",
  version: 1,
  paper: "Bulyan (El Mhamdi et al. 2018), on products",
  summary: "Krum chooses, then each element of the products is a mean around the median.",
  optionsSchema,
  capabilities: robustCapabilities,
  create({ byzantine, factor }, run) {
    assertEnoughUpdates(run, bulyan.name, 4 * byzantine + 3);
    return createRobustMethod(bulyan, run, factor, (round) =>
      measuredAggregation(round, ({ geometry, points, faultyOf }) => {
        const faulty = faultyOf(byzantine);
        const refusal = tooFew(points, 4 * faulty + 3);
        if (refusal !== undefined) return refusal;
        const chosen = repeatedKrum(geometry, points, faulty, points.length - 2 * faulty);
        const ids = new Set(chosen.map((point) => geometry.ids[point - 1] ?? ""));
        const rule = meanAroundMedian(chosen.length - 2 * faulty);
        const metrics = { leftOut: geometry.ids.length - points.length, selected: chosen.length };
        return coordinateAggregation(round, rule, metrics, ids);
      }),
    );
  },
};
