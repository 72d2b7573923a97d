import type { LatticeMasses } from "./lattice-masses.js";
import { intervalMasses, widestPiece } from "./interval-masses.js";
import { exponentAt, lossAt } from "./subsampled-loss.js";
import { outcomeTails } from "./outcome-tails.js";
import { roundDown } from "./round-down.js";
import type { LossDirection, SubsampledGaussian } from "./subsampled-loss.js";

/** One release's privacy loss on multiples of a step, rounded both ways. */
export interface LossLattice {
  readonly upper: LatticeMasses;
  readonly lower: LatticeMasses;
  /** Mass that the upper side puts at an infinite loss. */
  readonly infinite: number;
}

/** More work than this is refused: the noise is too small for its losses to be tabulated. */
const maxPieces = 2 ** 22;

/**
 * Discretises the loss. Each interval between neighbouring multiples of the step is treated on its own:
 *
 * - upper: its mass is split between its two ends so that both P and Q keep theirs ("Connect the Dots", Doroshenko,
 *   Ghazi, Kamath, Kumar, Manurangsi 2022). The pair dominates the mechanism; the error is of second order in the step.
 * - lower: its mass is merged into one outcome, and outcomes are merged further until their losses lie on a lattice
 *   (roundDown), all of which is post-processing; the error is of second order too.
 *
 * @param step above 0
 * @param tailMass mass that may be cut off at either end: rounded up or to infinity on the upper side, dropped on the lower
 * @returns undefined where the table would grow too large or its masses do not add up
 */
export function discretizeLoss(
  mechanism: SubsampledGaussian,
  direction: LossDirection,
  step: number,
  tailMass: number,
): LossLattice | undefined {
  const { samplingRate, noiseMultiplier: sigma } = mechanism;
  const outcomes = outcomeTails(mechanism, direction);
  const bottom = Math.floor(lossAt(sigma * outcomes.quantileBelow(tailMass), mechanism) / step);
  const top = Math.ceil(lossAt(sigma * outcomes.quantileAbove(tailMass), mechanism) / step);
  const count = top - bottom;
  const pieces = count + ((top - bottom) * step + 1 / sigma) / widestPiece;
  if (!(pieces <= maxPieces)) return undefined;

  const low = new Float64Array(count);
  const high = new Float64Array(count);
  const lowest = exponentAt(bottom * step, samplingRate);
  let u0 = lowest;
  for (let i = 0; i < count; i += 1) {
    const loss = (bottom + i) * step;
    const u1 = exponentAt(loss + step, samplingRate);
    const [atLow, atHigh] = intervalMasses(mechanism, direction, { low: loss, step, u0, u1 });
    low[i] = atLow;
    high[i] = atHigh;
    u0 = u1;
  }
  const below = outcomes.below(sigma * lowest + 0.5 / sigma);
  const above = outcomes.above(sigma * u0 + 0.5 / sigma);
  const lattice =
    direction === "remove"
      ? assemble(low, high, bottom, step, { bottom: below, infinite: above })
      : assemble(high.reverse(), low.reverse(), -top, step, { bottom: above, infinite: below });
  const total = lattice.upper.masses.reduce((sum, mass) => sum + mass, lattice.infinite);
  return Math.abs(total - 1) < 1e-10 ? lattice : undefined;
}

/** `low[i]` and `high[i]`: the masses of interval i at its ends, (first + i) step and (first + i + 1) step. */
function assemble(
  low: Float64Array,
  high: Float64Array,
  first: number,
  step: number,
  tails: { readonly bottom: number; readonly infinite: number },
): LossLattice {
  const upper = new Float64Array(low.length + 1);
  upper[0] = tails.bottom;
  for (let i = 0; i < low.length; i += 1) {
    upper[i] = (upper[i] ?? 0) + (low[i] ?? 0);
    upper[i + 1] = high[i] ?? 0;
  }
  return {
    upper: { masses: upper, first, offset: 0 },
    lower: roundDown(low, high, first, step),
    infinite: tails.infinite,
  };
}
