import type { RunSpec } from "@fedlora/core";
import { FedLoraError } from "@fedlora/core";

/**
 * The unnormalised weight of one update.
 *
 * Always an integer: 1 with `uniform`, the example count cut at `maxExamples` with `by-examples`. Integers keep weighted
 * sums exact (`primitive/exact-sum.ts`), and the cap bounds what a client gains by overstating its count.
 *
 * @param numExamples examples trained on, an integer >= 1; otherwise throws `update-weight`
 */
export function updateWeight(weighting: RunSpec["weighting"], numExamples: number): number {
  if (!Number.isSafeInteger(numExamples) || numExamples < 1) {
    throw new FedLoraError("update-weight", `example count ${numExamples} must be an integer of at least 1`);
  }
  return weighting.kind === "uniform" ? 1 : Math.min(numExamples, weighting.maxExamples);
}

/** The largest weight that one update can have: what sensitivities follow from. */
export function largestWeight(weighting: RunSpec["weighting"]): number {
  return weighting.kind === "uniform" ? 1 : weighting.maxExamples;
}
