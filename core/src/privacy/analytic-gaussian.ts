import { logNormalCdf } from "../math/normal.js";
import { assertDelta, invalid } from "./check-events.js";

/**
 * The exact privacy of one Gaussian release in which every unit takes part: Balle and Wang, "Improving the Gaussian
 * Mechanism for Differential Privacy" (2018), theorem 8. Releases of noise multipliers z_i compose into one of
 * (sum of z_i^-2)^(-1/2), so these functions are exact for them too.
 */

/**
 * The least delta for which a Gaussian release is (epsilon, delta)-private.
 *
 * @param epsilon any finite number; below 0 delta tends to 1
 * @param noiseMultiplier standard deviation over L2 sensitivity, above 0
 */
export function gaussianDelta(epsilon: number, noiseMultiplier: number): number {
  return Math.exp(logGaussianDelta(epsilon, noiseMultiplier));
}

/** ln delta, which exists where delta itself underflows. */
function logGaussianDelta(epsilon: number, noiseMultiplier: number): number {
  const half = 0.5 / noiseMultiplier;
  const shift = epsilon * noiseMultiplier;
  const first = logNormalCdf(half - shift);
  // delta is below it; with a ratio of two such numbers nothing could be said.
  if (first === Number.NEGATIVE_INFINITY) return first;
  const ratio = epsilon + logNormalCdf(-half - shift) - first;
  return first + Math.log(-Math.expm1(Math.min(ratio, 0)));
}

/**
 * The least epsilon for which a Gaussian release is (epsilon, delta)-private, from above to 1e-12 of its size.
 *
 * @param noiseMultiplier at least 0; 0 gives Infinity, Infinity gives 0
 * @throws FedLoraError `privacy-invalid` for a delta outside (0, 1) or a noise multiplier below 0
 */
export function gaussianEpsilon(noiseMultiplier: number, delta: number): number {
  assertDelta(delta);
  if (!(noiseMultiplier >= 0)) throw invalid(`noise multiplier ${noiseMultiplier} must not be below 0`);
  if (noiseMultiplier === 0) return Number.POSITIVE_INFINITY;
  const meets = (epsilon: number): boolean => logGaussianDelta(epsilon, noiseMultiplier) <= Math.log(delta);
  if (noiseMultiplier === Number.POSITIVE_INFINITY || meets(0)) return 0;
  let high = 1;
  for (; !meets(high); high *= 2) if (high === Number.POSITIVE_INFINITY) return high;
  return bisect(0, high, meets);
}

/**
 * The least noise multiplier for which one Gaussian release is (epsilon, delta)-private, from above to 1e-12 of its size.
 *
 * @throws FedLoraError `privacy-invalid` for an epsilon not above 0 or a delta outside (0, 1)
 */
export function gaussianNoiseMultiplier(epsilon: number, delta: number): number {
  assertDelta(delta);
  if (!(epsilon > 0 && epsilon < Number.POSITIVE_INFINITY))
    throw invalid(`epsilon ${epsilon} must be above 0 and finite`);
  const meets = (noiseMultiplier: number): boolean => logGaussianDelta(epsilon, noiseMultiplier) <= Math.log(delta);
  let high = 1;
  while (!meets(high)) high *= 2;
  let low = high;
  while (meets(low)) [low, high] = [low / 2, low];
  return bisect(low, high, meets);
}

/** The end of the last interval that still meets, so that the answer always does. */
function bisect(low: number, high: number, meets: (value: number) => boolean): number {
  while (high - low > 1e-12 * high) {
    const middle = (low + high) / 2;
    // Next to zero no number may lie between two that are far apart by their size.
    if (middle <= low || middle >= high) break;
    if (meets(middle)) high = middle;
    else low = middle;
  }
  return high;
}
