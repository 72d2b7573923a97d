import { firstNonFinite, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import type { AggregationInput, AggregationResult, SealedPasses } from "../method.js";
import { tensorOf } from "./method-parts.js";
import type { WeightedMean } from "./weighted-mean.js";

export type Refused = Extract<AggregationResult, { kind: "refused" }>;

export interface CollectedMean {
  readonly kind: "mean";
  /** The new global adapter: the means after the server step, every other tensor as it was. */
  readonly global: StateDict;
  /** Most updates that one tensor is the mean of, and their weight. */
  readonly contributors: number;
  readonly totalWeight: number;
}

/**
 * Puts the sealed groups of a `weightedMeanPass` together to the new global adapter, through the server optimizer where
 * there is one. Refuses a round in which nothing was averaged, and values beyond float32.
 */
export function collectMean(sealed: SealedPasses, pass: string, input: AggregationInput): CollectedMean | Refused {
  const means = [...(sealed.get(pass)?.values() ?? [])] as WeightedMean[];
  const contributors = Math.max(0, ...means.map((mean) => mean.contributors));
  if (contributors === 0) return refused(`round ${input.round}: no update with a weight above 0 to average`);
  const averaged: StateDict = toStateDict(means.flatMap(({ tensors }) => [...tensors]));
  const damped = dampen(averaged, input);
  const stepped = input.serverStep?.(damped) ?? damped;
  const global: StateDict = toStateDict([...input.global, ...stepped]);
  const overflown = [...stepped].find(([, tensor]) => firstNonFinite(tensor) >= 0);
  if (overflown !== undefined) return refused(`round ${input.round}: "${overflown[0]}" is beyond float32`);
  const totalWeight = Math.max(...means.map((mean) => mean.totalWeight));
  return { kind: "mean", global, contributors, totalWeight };
}

export const refused = (message: string): Refused => ({ kind: "refused", code: "round-failed", message });

/** global + freshness * (mean - global), as FedBuff weighs stale updates; see `AggregationInput.freshness`. */
function dampen(averaged: StateDict, { global, freshness = 1 }: AggregationInput): StateDict {
  if (freshness === 1) return averaged;
  return toStateDict(
    [...averaged].map(([name, tensor]) => {
      const from = toFloat32(tensorOf(global, name));
      const values = toFloat32(tensor).map((mean, i) => (from[i] ?? 0) + freshness * (mean - (from[i] ?? 0)));
      return [name, fromFloat32(values, tensor.shape)] as const;
    }),
  );
}
