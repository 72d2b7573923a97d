import { z } from "zod";
import type { MethodDefinition } from "../method.js";
import { coordinateAggregation } from "../primitive/robust-coordinate-pass.js";
import { coordinateMedian as medianOf } from "../primitive/robust-coordinates.js";
import { createRobustMethod, factorOption, robustCapabilities } from "../primitive/robust-method.js";

const optionsSchema = z.strictObject({ factor: factorOption });

/**
 * Coordinate-wise median of the products B_k A_k and of the heads, each update counting the same; of an even number the
 * mean of the two in the middle. The result has full rank as a rule and is decomposed to the run's (`truncationError`).
 * With `factor: "b"` the coordinates are those of B, and the result is exact.
 *
 * As long as fewer than half of the updates are hostile, every element stays within the range of the honest ones, before
 * the decomposition.
 *
 * Paper: Yin, Chen, Ramchandran, Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", 2018.
 */
export const coordinateMedian: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "coordinate-median",
  version: 1,
  paper: "Coordinate-wise median (Yin et al. 2018), on products",
  summary: "Takes the median of each element of the products.",
  optionsSchema,
  capabilities: robustCapabilities,
  create: ({ factor }, run) =>
    createRobustMethod(coordinateMedian, run, factor, (round) => coordinateAggregation(round, medianOf)),
};
