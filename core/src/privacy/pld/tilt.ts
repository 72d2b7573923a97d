import { outcomeTails } from "./outcome-tails.js";
import { lossAt } from "./subsampled-loss.js";
import type { LossDirection, SubsampledGaussian } from "./subsampled-loss.js";

/** A mechanism that is composed with itself `count` times. */
export interface Composed extends SubsampledGaussian {
  readonly count: number;
}

/** How and where a composed loss is looked at. It decides how accurate bounds are, never whether they are bounds. */
export interface Tilt {
  /** Masses are weighted by exp(theta loss), which lifts rare losses above the rounding error; at least 0. */
  readonly theta: number;
  /** The window of composed losses that matter. */
  readonly low: number;
  readonly high: number;
  /** Distances from theta at which moments bound what lies above and below the window (Chernoff). */
  readonly above: number;
  readonly below: number;
  /** About ln E exp(theta loss) of one release of mechanism i. */
  cumulant(i: number, theta: number): number;
}

/** Of delta: what each source of error may cost. */
const errorShare = 1e-6;

export interface LossSurvey {
  /** Epsilon by the Renyi divergences of this direction: a first guess, never too small by much. */
  readonly renyiEpsilon: number;
  /** For an epsilon in the neighbourhood of this one. */
  tiltFor(epsilon: number): Tilt;
}

interface SurveyRequest {
  readonly delta: number;
  /** Of a composed, tilted mass. */
  readonly roundingError: number;
  /** As discretizeLoss. */
  readonly tailMass: number;
}

/** Cumulants of the composed loss by integration over the outcomes. */
export function surveyLoss(
  mechanisms: readonly Composed[],
  direction: LossDirection,
  { delta, roundingError, tailMass }: SurveyRequest,
): LossSurvey {
  const tables = mechanisms.map((mechanism) => lossNodes(mechanism, direction, tailMass));
  const cumulants = tables.map((table) => (theta: number) => logMoment(table, theta));
  const cumulant = (i: number, theta: number): number => cumulants[i]?.(theta) ?? Number.NaN;
  const total = (theta: number): number =>
    mechanisms.reduce((sum, { count }, i) => sum + count * cumulant(i, theta), 0);
  const epsilonAt = (theta: number): number => renyiEpsilon(total(theta), theta, delta);
  return {
    renyiEpsilon: Math.max(0, epsilonAt(minimize(epsilonAt))),
    tiltFor: (epsilon) => {
      // A tilted error counts e^excess times its size against delta; the excess falls from 0 to its least value.
      const excess = (theta: number): number => total(theta) - theta * epsilon;
      const theta = leastTheta(excess, Math.log((errorShare * delta) / roundingError));
      const centre = total(theta);
      const logTail = Math.log(errorShare) + Math.min(0, Math.log(delta) - excess(theta));
      const reachAbove = (s: number): number => (total(theta + s) - centre - logTail) / s;
      const reachBelow = (s: number): number => (total(theta - s) - centre - logTail) / s;
      const above = minimize(reachAbove);
      const below = minimize(reachBelow);
      return { theta, above, below, low: -reachBelow(below), high: reachAbove(above), cumulant };
    },
  };
}

/** The least theta whose excess is at most the bound, or that of the least excess where none is. */
function leastTheta(excess: (theta: number) => number, bound: number): number {
  if (bound >= 0) return 0;
  let high = minimize(excess);
  let low = 0;
  for (let i = 0; i < 20; i += 1) {
    const middle = (low + high) / 2;
    if (excess(middle) < bound) high = middle;
    else low = middle;
  }
  return high;
}

/** Epsilon from the Renyi divergence of order theta + 1, which is the cumulant over theta. */
function renyiEpsilon(cumulant: number, theta: number, delta: number): number {
  return (cumulant - Math.log(delta * (theta + 1))) / theta - Math.log1p(1 / theta);
}

/** The best x in [1e-4, 1e7], by golden sections on a logarithmic scale; what is not finite counts as large. */
function minimize(cost: (x: number) => number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  const safe = (logX: number): number => {
    const value = cost(Math.exp(logX));
    return Number.isFinite(value) ? value : Number.MAX_VALUE;
  };
  let [a, b] = [Math.log(1e-4), Math.log(1e7)];
  let [x, y] = [b - ratio * (b - a), a + ratio * (b - a)];
  let [atX, atY] = [safe(x), safe(y)];
  // 15 cuts leave 2 % of x.
  for (let cut = 0; cut < 15; cut += 1) {
    if (atX <= atY) {
      [b, y, atY] = [y, x, atX];
      x = b - ratio * (b - a);
      atX = safe(x);
    } else {
      [a, x, atX] = [x, y, atY];
      y = a + ratio * (b - a);
      atY = safe(y);
    }
  }
  return Math.exp((a + b) / 2);
}

interface LossNodes {
  readonly losses: Float64Array;
  readonly logMasses: Float64Array;
}

/**
 * The loss at evenly spaced outcomes, a quarter of a standard deviation apart or closer where the noise is small, without
 * the tails that a table cuts off: rare and huge losses would widen the window for nothing.
 */
function lossNodes(mechanism: SubsampledGaussian, direction: LossDirection, tailMass: number): LossNodes {
  const { noiseMultiplier: sigma } = mechanism;
  const tails = outcomeTails(mechanism, direction);
  const start = sigma * tails.quantileBelow(tailMass);
  const length = sigma * tails.quantileAbove(tailMass) - start;
  const count = 1 + Math.ceil(Math.min(length / (sigma * Math.min(1, sigma) * 0.25), 2 ** 13));
  // The ends are nodes too, so that the largest loss is that of the table.
  const spacing = length / (count - 1);
  const losses = new Float64Array(count);
  const logMasses = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const x = start + spacing * i;
    const loss = lossAt(x, mechanism);
    const logDensity = Math.log(spacing / (sigma * Math.sqrt(2 * Math.PI))) - 0.5 * (x / sigma) ** 2;
    losses[i] = direction === "remove" ? loss : -loss;
    logMasses[i] = direction === "remove" ? logDensity + loss : logDensity;
  }
  return { losses, logMasses };
}

function logMoment({ losses, logMasses }: LossNodes, theta: number): number {
  let scale = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < losses.length; i += 1) {
    scale = Math.max(scale, (logMasses[i] ?? 0) + theta * (losses[i] ?? 0));
  }
  let sum = 0;
  for (let i = 0; i < losses.length; i += 1) {
    sum += Math.exp((logMasses[i] ?? 0) + theta * (losses[i] ?? 0) - scale);
  }
  return scale + Math.log(sum);
}
