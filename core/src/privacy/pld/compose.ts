import type { Fft } from "../../math/fft.js";
import { partnerOf } from "../../math/fft.js";
import type { LatticeMasses } from "./lattice-masses.js";
import type { LossLattice } from "./loss-lattice.js";
import type { Tilt } from "./tilt.js";

/** One side of a composed loss, tilted: entry (k mod size) of `masses` belongs to lattice point k of the window. */
export interface ComposedLoss {
  readonly masses: Float64Array;
  /** First lattice point of the window, which has as many points as there are masses. */
  readonly window: number;
  /** ln E exp(theta k step): a tilted mass times exp(logScale - theta k step) is a mass. */
  readonly logScale: number;
  /** The loss of lattice point 0. */
  readonly offset: number;
  /** What each entry may be wrong by through rounding. */
  readonly noise: number;
  /** Bounds of ln of the tilted mass beyond either end of the window, which lies folded into it. */
  readonly logBelow: number;
  readonly logAbove: number;
}

export interface Part {
  readonly lattice: LossLattice;
  readonly count: number;
}

/**
 * Error of a spectrum's value where the masses add up to 1: of the masses themselves (2^-47 at most), of the transform
 * (a few units in the last place for each stage), and of the argument, which is multiplied by the count.
 */
export const spectrumError = 2 ** -46;

/**
 * The upper and the lower composed loss of all parts, each applied as often as it counts. One transform serves both
 * sides of a part: the upper masses are its real, the lower ones its imaginary component.
 *
 * @param low loss at which the window begins
 * @returns undefined where a part has no mass that counts
 */
export function compose(
  parts: readonly Part[],
  step: number,
  tilt: Tilt,
  low: number,
  fft: Fft,
): { readonly upper: ComposedLoss; readonly lower: ComposedLoss } | undefined {
  const { size } = fft;
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  const upper = createSide(size, tilt);
  const lower = createSide(size, tilt);
  for (const [i, { lattice, count }] of parts.entries()) {
    const isUsable =
      addMoments(upper, lattice.upper, count, i, step, tilt) && addMoments(lower, lattice.lower, count, i, step, tilt);
    if (!isUsable) return undefined;
    fold(lattice.upper, step, tilt.theta, upper.lastMoment, re);
    fold(lattice.lower, step, tilt.theta, lower.lastMoment, im);
    fft.forward(re, im);
    for (let j = 0; j < size; j += 1) {
      const partner = partnerOf(j);
      if (partner < j) continue;
      // A real sequence's spectrum is conjugate at the opposite frequency; that tells the two components apart.
      const [a, b, c, d] = [re[j] ?? 0, im[j] ?? 0, re[partner] ?? 0, im[partner] ?? 0];
      raise(upper, j, 0.5 * (a + c), 0.5 * (b - d), count);
      raise(lower, j, 0.5 * (b + d), 0.5 * (c - a), count);
    }
  }
  let upperNoise = 0;
  let lowerNoise = 0;
  for (let j = 0; j < size; j += 1) {
    const partner = partnerOf(j);
    if (partner < j) continue;
    const u = valueOf(upper, j);
    const l = valueOf(lower, j);
    re[j] = u.re - l.im;
    im[j] = u.im + l.re;
    re[partner] = u.re + l.im;
    im[partner] = l.re - u.im;
    const share = (partner === j ? 1 : 2) / size;
    upperNoise += share * u.error;
    lowerNoise += share * l.error;
  }
  fft.inverse(re, im);
  // Both sides go through one transform, so the rounding of either may end up in the other.
  const noise = upperNoise + lowerNoise;
  return { upper: finish(upper, re, low, noise, step), lower: finish(lower, im, low, noise, step) };
}

function finish(side: Side, masses: Float64Array, low: number, noise: number, step: number): ComposedLoss {
  const { offset, logScale } = side;
  const window = Math.floor((low - offset) / step);
  const end = window + masses.length;
  const bound = (moments: readonly Moment[], at: number): number =>
    moments.reduce((least, { distance, log }) => {
      const own = log - logScale - distance * at * step;
      return own < least ? own : least;
    }, 0);
  return {
    masses,
    window,
    logScale,
    offset,
    noise,
    logBelow: side.first >= window ? Number.NEGATIVE_INFINITY : bound(side.below, window),
    logAbove: side.last < end ? Number.NEGATIVE_INFINITY : bound(side.above, end),
  };
}

/** The spectrum of one side so far, in polar form, and its moments. */
interface Side {
  readonly logMagnitude: Float64Array;
  readonly argument: Float64Array;
  /** Relative error. */
  readonly error: Float64Array;
  logScale: number;
  /** ln E exp((theta + distance) k step), for Chernoff bounds of what lies outside the window. */
  readonly above: readonly Moment[];
  readonly below: readonly Moment[];
  offset: number;
  /** The lattice points between which all mass lies. */
  first: number;
  last: number;
  /** ln E exp(theta k step) of the part added last. */
  lastMoment: number;
}

interface Moment {
  readonly distance: number;
  log: number;
}

/** Of the best distance for the continuous loss: shorter ones are disturbed less by rounding to the lattice. */
const distanceShares = [1, 1 / 8, 1 / 64, 1 / 512, 1 / 4096];

function createSide(size: number, { above, below }: Tilt): Side {
  const around = (distance: number): Moment[] =>
    distanceShares.map((share) => ({ distance: distance * share, log: 0 }));
  return {
    logMagnitude: new Float64Array(size),
    argument: new Float64Array(size),
    error: new Float64Array(size),
    logScale: 0,
    above: around(above),
    below: around(-below),
    offset: 0,
    first: 0,
    last: 0,
    lastMoment: 0,
  };
}

/** @returns whether the part has mass that counts */
function addMoments(side: Side, loss: LatticeMasses, count: number, part: number, step: number, tilt: Tilt): boolean {
  const moment = (theta: number): number => logMoment(loss, step, theta, tilt.cumulant(part, theta));
  side.lastMoment = moment(tilt.theta);
  side.logScale += count * side.lastMoment;
  for (const entry of [...side.above, ...side.below]) entry.log += count * moment(tilt.theta + entry.distance);
  side.offset += count * loss.offset;
  side.first += count * loss.first;
  side.last += count * (loss.first + loss.masses.length - 1);
  return Number.isFinite(side.lastMoment);
}

/** ln of the sum of mass exp(theta k step). `near` is about that, so that no exponential overflows. */
function logMoment({ masses, first }: LatticeMasses, step: number, theta: number, near: number): number {
  const growth = Math.exp(theta * step);
  let sum = 0;
  for (let start = 0; start < masses.length; start += rampLength) {
    let factor = Math.exp(theta * step * (first + start) - near);
    for (let i = start; i < Math.min(masses.length, start + rampLength); i += 1) {
      sum += (masses[i] ?? 0) * factor;
      factor *= growth;
    }
  }
  return near + Math.log(sum);
}

/** Exponentials of a run of lattice points follow from the first by multiplication, of which so many stay exact enough. */
const rampLength = 16;

/** Tilted masses, added up at their lattice point modulo the size of the window. */
function fold({ masses, first }: LatticeMasses, step: number, theta: number, moment: number, into: Float64Array): void {
  into.fill(0);
  const size = into.length;
  const growth = Math.exp(theta * step);
  let at = ((first % size) + size) % size;
  for (let start = 0; start < masses.length; start += rampLength) {
    let factor = Math.exp(theta * step * (first + start) - moment);
    for (let i = start; i < Math.min(masses.length, start + rampLength); i += 1) {
      into[at] = (into[at] ?? 0) + (masses[i] ?? 0) * factor;
      factor *= growth;
      at = at + 1 === size ? 0 : at + 1;
    }
  }
}

function raise(side: Side, j: number, re: number, im: number, count: number): void {
  const magnitude = Math.sqrt(re * re + im * im) + spectrumError;
  side.logMagnitude[j] = (side.logMagnitude[j] ?? 0) + count * Math.log(magnitude);
  side.argument[j] = (side.argument[j] ?? 0) + count * Math.atan2(im, re);
  side.error[j] = (side.error[j] ?? 0) + (count * 2 * spectrumError) / magnitude;
}

function valueOf({ logMagnitude, argument, error }: Side, j: number): { re: number; im: number; error: number } {
  const log = logMagnitude[j] ?? 0;
  if (log < -700) return { re: 0, im: 0, error: Math.exp(log) };
  const magnitude = Math.exp(log);
  const angle = argument[j] ?? 0;
  // The error of the inverse transform is one more of the same kind.
  return {
    re: magnitude * Math.cos(angle),
    im: magnitude * Math.sin(angle),
    error: magnitude * Math.min(2, (error[j] ?? 0) + spectrumError),
  };
}
