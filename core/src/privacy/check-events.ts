import { FedLoraError } from "../errors.js";
import type { PrivacyEvent } from "./privacy-event.js";

/** @throws FedLoraError `privacy-invalid` for a delta outside (0, 1) */
export function assertDelta(delta: number): void {
  if (!(delta > 0 && delta < 1)) throw invalid(`delta ${delta} must be above 0 and below 1`);
}

/** @throws FedLoraError `privacy-invalid` for a number that no mechanism can have */
function assertEvents(events: readonly PrivacyEvent[]): void {
  for (const { mechanism, count } of events) {
    if (!Number.isSafeInteger(count) || count < 1)
      throw invalid(`count ${count} of an event must be an integer from 1`);
    if (mechanism.kind === "unbounded") continue;
    const { noiseMultiplier } = mechanism;
    if (!(noiseMultiplier >= 0 && noiseMultiplier < Number.POSITIVE_INFINITY)) {
      throw invalid(`noise multiplier ${noiseMultiplier} must be finite and not below 0`);
    }
    if (mechanism.kind === "sampled-gaussian" && !(mechanism.samplingRate >= 0 && mechanism.samplingRate <= 1)) {
      throw invalid(`sampling rate ${mechanism.samplingRate} must be in [0, 1]`);
    }
  }
}

export interface SampledGaussian {
  readonly samplingRate: number;
  readonly noiseMultiplier: number;
  readonly count: number;
}

/** Events in the form that accountants compute with. */
export interface MergedEvents {
  /** One entry for each pair of settings, ordered by them, so that the order of events changes no bit of a result. */
  readonly sampled: readonly SampledGaussian[];
  /** 1 / noiseMultiplier^2, summed over all releases in which every unit takes part. */
  readonly gaussianPrecision: number;
  /** Why no finite epsilon exists; empty where one may. */
  readonly unbounded: readonly string[];
}

/**
 * Merges what composes exactly: equal mechanisms by their counts, Gaussian mechanisms (sampled ones of rate 1 among
 * them) into a single one. Releases in which nobody takes part are left out.
 *
 * @throws FedLoraError `privacy-invalid` for a number that no mechanism can have
 */
export function mergeEvents(events: readonly PrivacyEvent[]): MergedEvents {
  assertEvents(events);
  const counts = new Map<string, SampledGaussian>();
  const unbounded = new Set<string>();
  for (const { mechanism, count } of events) {
    if (mechanism.kind === "unbounded") {
      unbounded.add(mechanism.reason);
      continue;
    }
    const samplingRate = mechanism.kind === "gaussian" ? 1 : mechanism.samplingRate;
    if (samplingRate === 0) continue;
    const { noiseMultiplier } = mechanism;
    if (noiseMultiplier === 0) unbounded.add("a release without noise");
    const key = `${samplingRate}/${noiseMultiplier}`;
    counts.set(key, { samplingRate, noiseMultiplier, count: count + (counts.get(key)?.count ?? 0) });
  }
  const merged = [...counts.values()].sort(
    (a, b) => a.samplingRate - b.samplingRate || a.noiseMultiplier - b.noiseMultiplier,
  );
  return {
    sampled: merged.filter(({ samplingRate }) => samplingRate < 1),
    gaussianPrecision: merged
      .filter(({ samplingRate }) => samplingRate === 1)
      .reduce((sum, { noiseMultiplier, count }) => sum + count / noiseMultiplier ** 2, 0),
    unbounded: [...unbounded],
  };
}

export const invalid = (message: string): FedLoraError => new FedLoraError("privacy-invalid", message);
