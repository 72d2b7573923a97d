import type { Aggregation, AggregationInput, AggregationPass, MethodRunState } from "../method.js";
import { collectMean } from "./collect-mean.js";
import type { WeightedMean } from "./weighted-mean.js";

export interface MeanAggregationOptions {
  /** What the method keeps; default: as it was. */
  readonly state?: MethodRunState;
  /** Beside `contributors` and `totalWeight`, or instead of them. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** All of a round for methods that average and do nothing more: one pass of means, then the server step. */
export function meanAggregation<State>(
  pass: AggregationPass<State, WeightedMean>,
  input: AggregationInput,
  { state = input.state, metrics }: MeanAggregationOptions = {},
): Aggregation {
  return {
    passes: [pass],
    finish(sealed) {
      const mean = collectMean(sealed, pass.name, input);
      if (mean.kind === "refused") return mean;
      const { global, contributors, totalWeight } = mean;
      const reported = { contributors, totalWeight, ...metrics };
      return { kind: "adapter", global, state, baseDelta: undefined, metrics: reported };
    },
  };
}
