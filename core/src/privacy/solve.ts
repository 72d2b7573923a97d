import { assertDelta, invalid } from "./check-events.js";
import { FedLoraError } from "../errors.js";
import type { Accountant, PrivacyBound, PrivacyEvent } from "./privacy-event.js";

export interface PrivacyTarget {
  /** Above 0, finite. */
  readonly epsilon: number;
  /** In (0, 1). */
  readonly delta: number;
}

/** What the accountant proves about the events; the third of the three questions, beside the two solvers below. */
export function epsilonFor(delta: number, events: readonly PrivacyEvent[], accountant: Accountant): PrivacyBound {
  return accountant.epsilon(events, delta);
}

export interface NoiseSearch {
  /** How far above the least multiplier the answer may be, relative, at least 0; default 1e-4. */
  readonly tolerance?: number;
  /** Beyond which no answer is sought; default 2^20. */
  readonly maxNoiseMultiplier?: number;
}

/**
 * The least noise multiplier whose events meet the target, rounded up: the answer itself was accounted and meets it.
 *
 * @param eventsOf the releases that a noise multiplier leads to; more noise must not mean more epsilon
 * @throws FedLoraError `privacy-invalid` for a bad target, `privacy-unbounded` where not even `maxNoiseMultiplier` meets it
 */
export function noiseMultiplierFor(
  target: PrivacyTarget,
  eventsOf: (noiseMultiplier: number) => readonly PrivacyEvent[],
  accountant: Accountant,
  { tolerance = 1e-4, maxNoiseMultiplier = 2 ** 20 }: NoiseSearch = {},
): number {
  assertTarget(target);
  const at = (noiseMultiplier: number): Trial => ({
    value: noiseMultiplier,
    epsilon: accountant.epsilon(eventsOf(noiseMultiplier), target.delta).epsilon,
  });
  const meets = (trial: Trial): boolean => trial.epsilon <= target.epsilon;
  let good = at(1);
  let bad = good;
  if (meets(good)) {
    for (bad = at(0.5); meets(bad) && bad.value > 2 ** -20; bad = at(bad.value / 2)) good = bad;
    if (meets(bad)) return bad.value;
  } else {
    for (good = at(2); !meets(good); good = at(good.value * 2)) {
      bad = good;
      if (good.value >= maxNoiseMultiplier) throw unreachable(target, good);
    }
  }
  return narrow(good, bad, target.epsilon, at, {
    tolerance,
    nudge: (value) => (value * tolerance) / 2,
    snap: (value) => value,
  });
}

/**
 * The most steps whose events meet the target; 0 where not one does.
 *
 * @param eventsOf the releases of that many steps; more steps must not mean less epsilon
 * @param maxSteps answer where even so many meet it; default 2^30
 * @throws FedLoraError `privacy-invalid` for a bad target
 */
export function stepsFor(
  target: PrivacyTarget,
  eventsOf: (steps: number) => readonly PrivacyEvent[],
  accountant: Accountant,
  maxSteps: number = 2 ** 30,
): number {
  assertTarget(target);
  const at = (steps: number): Trial => ({
    value: steps,
    epsilon: accountant.epsilon(eventsOf(steps), target.delta).epsilon,
  });
  const meets = (trial: Trial): boolean => trial.epsilon <= target.epsilon;
  let good = at(1);
  if (!meets(good)) return 0;
  let bad = good;
  for (; meets(bad); bad = at(Math.min(bad.value * 4, maxSteps))) {
    good = bad;
    if (good.value >= maxSteps) return maxSteps;
  }
  return narrow(good, bad, target.epsilon, at, {
    tolerance: 0,
    nudge: (value) => Math.max(0.6, value * 1e-6),
    snap: Math.round,
  });
}

interface Trial {
  readonly value: number;
  readonly epsilon: number;
}

interface Precision {
  /** How near the value that meets the target and the one that misses it must come, relative; 0: to neighbours. */
  readonly tolerance: number;
  /** How far beyond a guess the next trial goes, so that guesses close in from both sides. */
  nudge(value: number): number;
  snap(value: number): number;
}

/**
 * Narrows the bracket between a trial that meets the target and one that misses it. Epsilon is nearly a power of the
 * value, so a line through the logarithms guesses well; a step that does not halve the bracket is followed by one that
 * does. An accountant may take a second, so each trial counts.
 */
function narrow(good: Trial, bad: Trial, epsilon: number, at: (value: number) => Trial, precision: Precision): number {
  let guessing = true;
  for (;;) {
    const [low, high] = good.value < bad.value ? [good.value, bad.value] : [bad.value, good.value];
    if (high <= low * (1 + precision.tolerance)) return good.value;
    const middle = Math.sqrt(good.value * bad.value);
    const width = high / low;
    let value = middle;
    const guess = guessing ? interpolate(good, bad, epsilon) : Number.NaN;
    if (guess > low && guess < high) value = guess + (guess > middle ? -1 : 1) * precision.nudge(guess);
    value = precision.snap(value);
    // Rounding may end on a bracket's own end, where nothing new is to be learnt.
    if (!(value > low && value < high)) value = precision.snap((low + high) / 2);
    if (!(value > low && value < high)) return good.value;
    const trial = at(value);
    if (trial.epsilon <= epsilon) good = trial;
    else bad = trial;
    guessing = Math.max(good.value / bad.value, bad.value / good.value) <= Math.sqrt(width) || !guessing;
  }
}

function interpolate(good: Trial, bad: Trial, epsilon: number): number {
  const share = Math.log(epsilon / good.epsilon) / Math.log(bad.epsilon / good.epsilon);
  return good.value * (bad.value / good.value) ** share;
}

function assertTarget({ epsilon, delta }: PrivacyTarget): void {
  assertDelta(delta);
  if (!(epsilon > 0 && epsilon < Number.POSITIVE_INFINITY))
    throw invalid(`epsilon ${epsilon} must be above 0 and finite`);
}

function unreachable({ epsilon, delta }: PrivacyTarget, { value, epsilon: reached }: Trial): FedLoraError {
  return new FedLoraError(
    "privacy-unbounded",
    `no noise multiplier up to ${value} reaches epsilon ${epsilon} at delta ${delta}; the last gave ${reached}`,
  );
}
