import type { Aggregation, AggregationInput, AggregationPass, MethodRunState } from "../method.js";
import { collectMean } from "./collect-mean.js";
import { withBias } from "./factor-bias.js";
import type { BiasOptions } from "./factor-bias.js";
import type { WeightedMean } from "./weighted-mean.js";

export interface MeanAggregationOptions {
  /** What the method keeps; default: as it was. */
  readonly state?: MethodRunState;
  /** Beside `contributors` and `totalWeight`, or instead of them. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** Reports how far the adapter that is sent is from the mean of the clients' products; default: not. */
  readonly bias?: Pick<BiasOptions, "groups" | "exactUpTo" | "seed" | "weightOf" | "startWeight">;
}

/** All of a round for methods that average and do nothing more: one pass of means, then the server step. */
export function meanAggregation<State>(
  pass: AggregationPass<State, WeightedMean>,
  input: AggregationInput,
  { state = input.state, metrics, bias }: MeanAggregationOptions = {},
): Aggregation {
  return {
    passes: [pass],
    finish(sealed) {
      const mean = collectMean(sealed, pass.name, input);
      if (mean.kind === "refused") return mean;
      const { global, contributors, totalWeight } = mean;
      const reported = { contributors, totalWeight, ...metrics };
      const result = { kind: "adapter", global, state, baseDelta: undefined, metrics: reported } as const;
      return bias === undefined ? result : withBias(result, { ...bias, input, contributors, against: global });
    },
  };
}
