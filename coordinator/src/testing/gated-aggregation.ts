import { FedLoraError } from "@fedlora/core";

import type { AggregationRunner } from "../aggregate/aggregation.js";
import { inlineAggregation } from "./federation.js";

/** Aggregations that wait until the test lets them through. */
export function gatedAggregation(): { readonly aggregation: AggregationRunner; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const aggregation: AggregationRunner = {
    run: async (job, signal) => {
      signal?.throwIfAborted();
      const aborted = new Promise<never>((_, reject) =>
        signal?.addEventListener("abort", () => reject(new FedLoraError("cancelled", "closing"))),
      );
      await Promise.race([opened, aborted]);
      return inlineAggregation.run(job, signal);
    },
    close: () => Promise.resolve(),
  };
  return { aggregation, open };
}
