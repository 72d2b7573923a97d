import { FedLoraError } from "../errors.js";

/**
 * The share of updates that were not clipped, as it is released: each update that came counts 1/2 or -1/2, one that did not
 * come 0, so that a single client changes the sum by at most 1/2.
 *
 * Source: Andrew et al., "Differentially Private Learning with Adaptive Clipping", 2021, algorithm 1.
 *
 * @param unclipped updates with a norm of at most the clip norm
 * @param clipped the others
 * @param noise one draw of N(0, sigma_b^2)
 * @param expected updates that are expected, whatever came; above 0
 * @returns in [0, 1]
 */
export function unclippedShare(unclipped: number, clipped: number, noise: number, expected: number): number {
  const share = ((unclipped - clipped) / 2 + noise) / expected + 0.5;
  return Math.min(1, Math.max(0, share));
}

/**
 * The clip norm of the next round: geometric steps to the `quantile` of the update norms. A share *unclipped* above the
 * quantile means that the norm is too large, so it falls.
 *
 * @param share noised share of unclipped updates, in [0, 1]
 */
export function adaptedClipNorm(
  clipNorm: number,
  share: number,
  { learningRate, quantile }: { readonly learningRate: number; readonly quantile: number },
): number {
  return clipNorm * Math.exp(-learningRate * (share - quantile));
}

/**
 * The noise multiplier of the updates where the count of unclipped ones is released beside them, so that both together cost
 * what one Gaussian release of multiplier `noiseMultiplier` does, which is what is accounted for:
 * z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2).
 *
 * @param noiseMultiplier z of both releases together; above 0
 * @param countNoise sigma_b, standard deviation of the noise on the count; its sensitivity is 1/2
 * @throws FedLoraError `privacy-invalid` unless z < 2 sigma_b: the count alone would cost as much, or more
 */
export function splitNoise(noiseMultiplier: number, countNoise: number): number {
  const remaining = noiseMultiplier ** -2 - (2 * countNoise) ** -2;
  if (!(remaining > 0 && remaining < Infinity)) {
    throw new FedLoraError(
      "privacy-invalid",
      `the noise on the count of unclipped updates, ${countNoise}, must be above half of the noise multiplier, ` +
        `${noiseMultiplier} / 2: raise privacy.clipping.countNoise, or cohort.size, which it follows`,
      { details: { field: "privacy.clipping.countNoise" } },
    );
  }
  return remaining ** -0.5;
}
