import type { PrivacyBound } from "./privacy-event.js";

/**
 * The bound of releases about disjoint sets of units: each unit is in one of them alone, so the worst one bounds all.
 * True of example-level privacy where no two clients hold the same example; not of client-level privacy.
 *
 * @param bounds one for each client, at the same delta; of none the bound is epsilon 0
 */
export function parallelBound(bounds: readonly PrivacyBound[]): PrivacyBound {
  // An epsilon that is not a number bounds nothing.
  const epsilons = bounds.map(({ epsilon }) => (epsilon >= 0 ? epsilon : Number.POSITIVE_INFINITY));
  const lowers = bounds.flatMap(({ lowerEpsilon }) => lowerEpsilon ?? []);
  return {
    epsilon: Math.max(0, ...epsilons),
    ...(lowers.length > 0 ? { lowerEpsilon: Math.max(...lowers) } : {}),
    warnings: [...new Set(bounds.flatMap(({ warnings }) => warnings))],
  };
}
