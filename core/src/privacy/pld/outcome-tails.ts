import { normalCdf } from "../../math/normal.js";
import type { LossDirection, SubsampledGaussian } from "./subsampled-loss.js";

interface OutcomeTails {
  /** Mass of outcomes below and above z sigma. */
  below(z: number): number;
  above(z: number): number;
  /** The z beyond which the tail has about that mass. */
  quantileBelow(mass: number): number;
  quantileAbove(mass: number): number;
}

/** Outcomes are distributed as P to remove a unit and as Q to add one. */
export function outcomeTails(
  { samplingRate: q, noiseMultiplier: sigma }: SubsampledGaussian,
  direction: LossDirection,
): OutcomeTails {
  const share = direction === "remove" ? q : 0;
  const below = (z: number): number => (1 - share) * normalCdf(z) + share * normalCdf(z - 1 / sigma);
  const above = (z: number): number => (1 - share) * normalCdf(-z) + share * normalCdf(1 / sigma - z);
  const far = 38 + 1 / sigma;
  return {
    below,
    above,
    quantileBelow: (mass) => bisect(-far, far, (z) => below(z) < mass),
    quantileAbove: (mass) => -bisect(-far, far, (z) => above(-z) < mass),
  };
}

/** The last of a range of z for which the condition, true at first, still holds. */
function bisect(low: number, high: number, holds: (z: number) => boolean): number {
  for (let i = 0; i < 40; i += 1) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}
