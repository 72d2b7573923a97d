import type { Aggregation, AggregationInput, AggregationPass, MethodRunState } from "../method.js";
import { collectMean } from "./collect-mean.js";
import type { WeightedMean } from "./weighted-mean.js";

/**
 * All of a round for methods that only average: one pass of means, then the server step; metrics `contributors` and
 * `totalWeight`.
 *
 * @param state what the method keeps; default: as it was
 */
export function meanAggregation<State>(
  pass: AggregationPass<State, WeightedMean>,
  input: AggregationInput,
  state: MethodRunState = input.state,
): Aggregation {
  return {
    passes: [pass],
    finish(sealed) {
      const mean = collectMean(sealed, pass.name, input);
      if (mean.kind === "refused") return mean;
      const { global, contributors, totalWeight } = mean;
      return { kind: "adapter", global, state, baseDelta: undefined, metrics: { contributors, totalWeight } };
    },
  };
}
