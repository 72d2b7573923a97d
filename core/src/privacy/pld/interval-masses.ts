import { normalCdf } from "../../math/normal.js";
import type { LossDirection, SubsampledGaussian } from "./subsampled-loss.js";

/** Outcomes whose ln (P / Q) lies between two multiples of the step. */
export interface LossInterval {
  /** ln (P / Q) at its lower end. */
  readonly low: number;
  readonly step: number;
  /** u at its ends, as exponentAt; -Infinity at the lower one where ln (P / Q) does not reach down to `low`. */
  readonly u0: number;
  readonly u1: number;
}

/** Nodes and weights of Gauss and Legendre's rule of four points on [0, 1]. */
const nodes = [0.06943184420297371, 0.3300094782075719, 0.6699905217924281, 0.9305681557970262] as const;
const weights = [0.17392742256872692, 0.3260725774312731, 0.3260725774312731, 0.17392742256872692] as const;
/**
 * Widest piece in u and in standard deviations, less far out, where the density changes faster: the rule is then exact
 * to about 1e-14.
 */
export const widestPiece = 0.05;

/**
 * The mass of an interval, split between its ends (in terms of ln (P / Q): [lower end, upper end]) so that the masses
 * under P and under Q are both kept. With W = exp(ln P / Q) = 1 - q + q e^u and E for e^u at the ends, the P-mass is
 *
 *     lower: integral of (W1 - W) dQ / (e^step - 1),   upper: integral of e^step (W - W0) dQ / (e^step - 1),
 *
 * and the Q-masses are these over e^low and e^(low + step). Differences of W are q times differences of e^u, taken
 * inside the integral, so that nothing cancels.
 */
export function intervalMasses(
  mechanism: SubsampledGaussian,
  direction: LossDirection,
  interval: LossInterval,
): [number, number] {
  return interval.u0 === Number.NEGATIVE_INFINITY
    ? firstInterval(mechanism, direction, interval)
    : integrate(mechanism, direction, interval);
}

function integrate(
  { samplingRate: q, noiseMultiplier: sigma }: SubsampledGaussian,
  direction: LossDirection,
  { low, step, u0, u1 }: LossInterval,
): [number, number] {
  const width = u1 - u0;
  // Under P the q e^u dQ of a difference is q times the density around 1; under Q it stays with the density around 0.
  const isRemove = direction === "remove";
  const shift = (isRemove ? -0.5 : 0.5) / sigma;
  const furthest = Math.max(Math.abs(sigma * u0 + shift), Math.abs(sigma * u1 + shift));
  const pieces = Math.ceil((width * Math.max(1, sigma, (sigma * furthest) / 8)) / widestPiece);
  let rising = 0;
  let falling = 0;
  for (let piece = 0; piece < pieces; piece += 1) {
    for (let n = 0; n < 4; n += 1) {
      const above = (width * (piece + (nodes[n] ?? 0))) / pieces;
      const z = sigma * (u0 + above) + shift;
      const density = (weights[n] ?? 0) * Math.exp(-0.5 * z * z);
      rising += density * (isRemove ? -expm1(-above) : expm1(above));
      falling += density * (isRemove ? expm1(width - above) : -expm1(above - width));
    }
  }
  const scale = (q * width * sigma) / (pieces * Math.sqrt(2 * Math.PI) * Math.expm1(step));
  if (isRemove) return [scale * falling, scale * rising * Math.exp(step)];
  return [scale * falling * Math.exp(u1 - low), scale * rising * Math.exp(u0 - low)];
}

/** The interval that holds ln(1 - q), where u has no lower end: wide, so distribution functions serve. */
function firstInterval(
  { samplingRate: q, noiseMultiplier: sigma }: SubsampledGaussian,
  direction: LossDirection,
  { low, step, u1 }: LossInterval,
): [number, number] {
  const z = sigma * u1 + 0.5 / sigma;
  const around0 = normalCdf(z);
  const around1 = normalCdf(z - 1 / sigma);
  const falling = q * (Math.exp(u1) * around0 - around1);
  // (W - W0) dQ, with W0 = e^low at most 1 - q.
  const rising = q * around1 + (1 - q - Math.exp(low)) * around0;
  const scale = (direction === "remove" ? 1 : Math.exp(-low)) / Math.expm1(step);
  return [Math.max(0, falling) * scale, Math.max(0, rising) * scale * (direction === "remove" ? Math.exp(step) : 1)];
}

/** e^x - 1 to the last bits; most arguments here are as small as the step, for which the library's takes its time. */
function expm1(x: number): number {
  if (Math.abs(x) > 0.02) return Math.expm1(x);
  return x * (1 + (x / 2) * (1 + (x / 3) * (1 + (x / 4) * (1 + (x / 5) * (1 + (x / 6) * (1 + x / 7))))));
}
