/**
 * One randomised release, as an accountant sees it. Neighbours differ by one unit (an example, or a client) that is there
 * or not; `noiseMultiplier` is the standard deviation of the noise over the L2 sensitivity of what is released.
 */
export type PrivacyMechanism =
  /** Every unit takes part. */
  | { readonly kind: "gaussian"; readonly noiseMultiplier: number }
  /** Each unit takes part with probability `samplingRate`, in [0, 1], drawn afresh and independently for each release. */
  | { readonly kind: "sampled-gaussian"; readonly noiseMultiplier: number; readonly samplingRate: number }
  /** A release whose loss nobody can bound; its epsilon is infinite. */
  | { readonly kind: "unbounded"; readonly reason: string };

/** A mechanism that was applied `count` times; each may depend on what was released before. */
export interface PrivacyEvent {
  readonly mechanism: PrivacyMechanism;
  /** At least 1. */
  readonly count: number;
}

/** What an accountant proves about a list of events, in any order. */
export interface PrivacyBound {
  /** Upper bound; Infinity where none can be computed. Never NaN, never negative. */
  readonly epsilon: number;
  /** Lower bound of the true epsilon; absent where the accountant has none. */
  readonly lowerEpsilon?: number;
  /** For a person: an optimum at the edge of the order grid, a reason for Infinity. */
  readonly warnings: readonly string[];
}

/** Turns events into a bound. Pure; the same events give the same bits. */
export interface Accountant {
  readonly name: "rdp" | "pld";
  /** `delta` in (0, 1); throws `privacy-invalid` outside. */
  epsilon(events: readonly PrivacyEvent[], delta: number): PrivacyBound;
}
