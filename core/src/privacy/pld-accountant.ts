import { createFft } from "../math/fft.js";
import { gaussianEpsilon } from "./analytic-gaussian.js";
import { assertDelta, mergeEvents } from "./check-events.js";
import { compose, spectrumError } from "./pld/compose.js";
import { discretizeLoss } from "./pld/loss-lattice.js";
import { lowerEpsilon, upperEpsilon } from "./pld/read-epsilon.js";
import type { LossDirection } from "./pld/subsampled-loss.js";
import { surveyLoss } from "./pld/tilt.js";
import type { Composed, LossSurvey } from "./pld/tilt.js";
import type { Accountant, PrivacyBound } from "./privacy-event.js";
import { createRdpAccountant } from "./rdp-accountant.js";

export interface PldOptions {
  /** The gap between upper and lower bound at which refinement stops, relative to epsilon; default 1e-5. */
  readonly tolerance?: number;
  /** Points of the finest lattice, a power of two of at least 2^12; memory is about 80 bytes each. Default 2^17. */
  readonly maxPoints?: number;
}

/**
 * Accounting by privacy loss distributions: the loss of each release is discretised, pessimistically for the upper and
 * optimistically for the lower bound, and composed by Fourier transforms, for adding and for removing a unit. The gap
 * between the bounds is the error, all of it: tables that were cut off, rounding and folded tails count against either.
 *
 * Koskela, Jaelkoe, Honkela (2020); "Connect the Dots", Doroshenko et al. (2022); exponential tilting keeps rare losses
 * above the rounding error. Plain Gaussian releases compose exactly and alone need no table: Balle and Wang (2018).
 */
export function createPldAccountant({ tolerance = 1e-5, maxPoints = 2 ** 17 }: PldOptions = {}): Accountant {
  const rdp = createRdpAccountant();
  return {
    name: "pld",
    epsilon: (events, delta): PrivacyBound => {
      assertDelta(delta);
      const { sampled, gaussianPrecision, unbounded } = mergeEvents(events);
      if (unbounded.length > 0) return { epsilon: Number.POSITIVE_INFINITY, warnings: unbounded };
      const gaussianNoise = 1 / Math.sqrt(gaussianPrecision);
      if (sampled.length === 0) {
        const epsilon = gaussianEpsilon(gaussianNoise, delta);
        return { epsilon, lowerEpsilon: epsilon * (1 - 1e-9), warnings: [] };
      }
      const renyi = rdp.epsilon(events, delta);
      // No bound is lower, and losses of next to nothing take long to tabulate.
      if (renyi.epsilon === 0) return { ...renyi, lowerEpsilon: 0 };
      const parts: Composed[] = [...sampled];
      if (gaussianPrecision > 0) parts.push({ samplingRate: 1, noiseMultiplier: gaussianNoise, count: 1 });
      const remove = refine(parts, "remove", delta, { tolerance, maxPoints });
      const add = refine(parts, "add", delta, { tolerance, maxPoints, enough: remove.low });
      const high = Math.max(remove.high, add.high);
      const low = Math.max(remove.low, add.low);
      if (high <= renyi.epsilon) return { epsilon: high, lowerEpsilon: low, warnings: gapWarnings(low, high) };
      return {
        epsilon: renyi.epsilon,
        lowerEpsilon: low,
        warnings: ["the privacy loss could not be tabulated well; epsilon is by Renyi divergences", ...renyi.warnings],
      };
    },
  };
}

function gapWarnings(low: number, high: number): string[] {
  if (high - low <= 0.1 * high || high < 1e-2) return [];
  return [`the true epsilon may be as low as ${low.toPrecision(3)}; the privacy loss could not be tabulated finely`];
}

interface Interval {
  readonly low: number;
  readonly high: number;
}

interface Refinement {
  readonly tolerance: number;
  readonly maxPoints: number;
  /** An epsilon below which more accuracy would change nothing. */
  readonly enough?: number;
}

const minPoints = 2 ** 12;

/** Bounds of one direction's epsilon on lattices that grow until the bounds are near enough. */
function refine(
  mechanisms: readonly Composed[],
  direction: LossDirection,
  delta: number,
  { tolerance, maxPoints, enough = 0 }: Refinement,
): Interval {
  const releases = mechanisms.reduce((sum, { count }) => sum + count, 0);
  const tailMass = (1e-7 * delta) / releases;
  const roundingError = Math.min(1, releases * spectrumError * 4);
  const survey = surveyLoss(mechanisms, direction, { delta, roundingError, tailMass });
  let best: Interval = { low: 0, high: largestLoss(mechanisms, direction) };
  let guess = survey.renyiEpsilon;
  let points = minPoints;
  for (let round = 0; round < 8 && best.high > enough; round += 1) {
    const found = boundOnce(mechanisms, direction, delta, { survey, guess, points, tailMass });
    best = { low: Math.max(best.low, found.low), high: Math.min(best.high, found.high) };
    const gap = best.high - best.low;
    const wanted = tolerance * Math.max(best.low, 1e-3);
    if (gap <= wanted) break;
    if (found.high === Number.POSITIVE_INFINITY) {
      if (points < maxPoints) points = Math.min(maxPoints, points * 4);
      else guess /= 2;
    } else {
      guess = (best.low + best.high) / 2;
      if (points >= maxPoints) break;
      // The gap shrinks with the square of the step.
      const factor = Math.ceil(Math.log2(Math.sqrt(gap / wanted) * 1.2));
      points = Math.min(maxPoints, points * 2 ** Math.max(1, factor));
    }
  }
  return best;
}

/** Adding a unit never changes a probability by more than the chance that it is not sampled at all. */
function largestLoss(mechanisms: readonly Composed[], direction: LossDirection): number {
  if (direction === "remove") return Number.POSITIVE_INFINITY;
  return mechanisms.reduce((sum, { count, samplingRate }) => sum - count * Math.log1p(-samplingRate), 0);
}

interface Lattice {
  readonly survey: LossSurvey;
  readonly guess: number;
  readonly points: number;
  readonly tailMass: number;
}

function boundOnce(
  mechanisms: readonly Composed[],
  direction: LossDirection,
  delta: number,
  { survey, guess, points, tailMass }: Lattice,
): Interval {
  const nothing = { low: 0, high: Number.POSITIVE_INFINITY };
  const tilt = survey.tiltFor(guess);
  // A margin on both sides for what rounding to the lattice moves.
  const step = (tilt.high - tilt.low) / (points * 0.9);
  const low = tilt.low - step * points * 0.05;
  let infinite = 0;
  const parts = [];
  for (const { count, ...mechanism } of mechanisms) {
    const lattice = discretizeLoss(mechanism, direction, step, tailMass);
    if (lattice === undefined) return nothing;
    infinite += count * lattice.infinite;
    parts.push({ lattice, count });
  }
  const composed = compose(parts, step, tilt, low, createFft(points));
  if (composed === undefined) return nothing;
  const request = { theta: tilt.theta, step, delta };
  const high = upperEpsilon(composed.upper, infinite, request);
  const atLeast = lowerEpsilon(composed.lower, request);
  return { low: atLeast >= 0 ? atLeast : 0, high: high >= 0 ? high : Number.POSITIVE_INFINITY };
}
