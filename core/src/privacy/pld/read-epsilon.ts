import type { ComposedLoss } from "./compose.js";

export interface ReadRequest {
  readonly theta: number;
  readonly step: number;
  readonly delta: number;
}

/**
 * The least epsilon, at least 0, at which the hockey-stick divergence, the sum over losses l > epsilon of
 * mass (1 - exp(epsilon - l)), is at most delta, everything that may be wrong counted against it.
 *
 * @param infinite mass at an infinite loss
 * @returns Infinity where the window does not decide
 */
export function upperEpsilon(loss: ComposedLoss, infinite: number, request: ReadRequest): number {
  const { theta, step, delta } = request;
  const end = (loss.window + loss.masses.length) * step;
  // What lies beyond the window, untilted and taken to be at an infinite loss.
  const beyond = Math.exp(loss.logScale + loss.logAbove - theta * end - Math.log(delta));
  const epsilon = scan(loss, request, loss.noise, infinite / delta + beyond, 0);
  return epsilon ?? Number.POSITIVE_INFINITY;
}

/** The largest epsilon at which the divergence is surely above delta; 0 where the window does not show one. */
export function lowerEpsilon(loss: ComposedLoss, request: ReadRequest): number {
  // Folded mass may lie anywhere in the window, although none of it belongs there.
  const folded = Math.exp(loss.logBelow) + Math.exp(loss.logAbove);
  return scan(loss, request, -loss.noise, 0, folded) ?? 0;
}

/**
 * Walks down the lattice until the divergence, in units of delta, exceeds 1. With D the divergence at a lattice point
 * and B the sum over higher losses l of mass exp(point - l), one step down gives D + B (1 - e^-step): no cancellation.
 *
 * @param correction added to each tilted mass
 * @param start divergence from beyond the window
 * @param folded tilted mass that may wrongly count
 * @returns undefined where that never happens above the window's lower end, or already does at its upper end
 */
function scan(
  { masses, window, logScale, offset }: ComposedLoss,
  { theta, step, delta }: ReadRequest,
  correction: number,
  start: number,
  folded: number,
): number | undefined {
  const size = masses.length;
  const fall = -Math.expm1(-step);
  let divergence = start;
  let weighted = 0;
  for (let point = window + size - 1; point >= window; point -= 1) {
    const loss = point * step + offset;
    const factor = Math.exp(logScale - Math.log(delta) - theta * step * point);
    const tilted = (masses[((point % size) + size) % size] ?? 0) + correction;
    weighted += Math.max(0, tilted) * factor;
    // Just below this point the divergence rises by `weighted` times 1 - exp(epsilon - loss).
    const room = 1 + folded * factor * Math.exp(theta * step) - divergence;
    if (!(room > 0)) return undefined;
    if (loss <= 0) return 0;
    if (weighted * fall > room) return Math.max(0, loss + Math.log1p(-room / weighted));
    divergence += weighted * fall;
    weighted *= 1 - fall;
  }
  return undefined;
}
