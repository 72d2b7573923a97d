import { expectedBatch, splitNoise } from "@fedlora/core";
import type { PlanPrivacy, PrivacyEvent, PrivacyMechanism, PrivacySpec, RunSpec } from "@fedlora/core";

import { isEvaluationDue } from "../rounds/run-state.js";

export type PrivateSpec = Exclude<PrivacySpec, { mode: "none" }>;

/** How often somebody's data took part in what was released, or will be where a plan is out. */
export interface ReleaseCounts {
  /** Rounds (mode `client`) or training plans of one client. */
  readonly training: number;
  /** Evaluations of one client, noised. */
  readonly evaluation: number;
}

export const noReleases: ReleaseCounts = { training: 0, evaluation: 0 };

/** Probability with which a unit takes part in a release, at most; undefined where every one does. */
export function samplingRateOf({ privacy, cohort, training }: RunSpec): number | undefined {
  switch (privacy.mode) {
    case "client":
      return cohort.size / privacy.population;
    case "example":
      // Whoever has more examples draws each less often, and no more steps.
      return expectedBatch(training) / privacy.minExamples;
    case "local":
    case "none":
      return undefined;
  }
}

/** The releases that counts stand for, for one unit that took part in all of them. */
export function eventsOf(spec: RunSpec, noiseMultiplier: number, counts: ReleaseCounts): readonly PrivacyEvent[] {
  const { privacy, training } = spec;
  if (privacy.mode === "none") return [];
  const samplingRate = samplingRateOf(spec);
  const mechanism: PrivacyMechanism =
    samplingRate === undefined
      ? { kind: "gaussian", noiseMultiplier }
      : { kind: "sampled-gaussian", noiseMultiplier, samplingRate };
  const perRound = privacy.mode === "example" ? (training.localSteps ?? Infinity) : 1;
  const events = [{ mechanism, count: counts.training * perRound }];
  if (privacy.metricsNoise !== undefined) {
    const metrics = { kind: "gaussian", noiseMultiplier: privacy.metricsNoise } as const;
    events.push({ mechanism: metrics, count: counts.evaluation });
  }
  return events.filter(({ count }) => count > 0);
}

/** What a unit comes to that takes part in every round and every evaluation of the run. */
export function plannedCounts(spec: RunSpec): ReleaseCounts {
  let evaluation = 0;
  for (let round = 1; round <= spec.rounds; round++) evaluation += isEvaluationDue(spec, round) ? 1 : 0;
  return { training: spec.rounds, evaluation };
}

/** Standard deviation of the noise on the number of unclipped updates; undefined unless the clip norm adapts. */
export function countNoiseOf({ privacy, cohort }: RunSpec): number | undefined {
  if (privacy.mode !== "client" || privacy.clipping.kind === "fixed") return undefined;
  return privacy.clipping.countNoise ?? cohort.size / 20;
}

/**
 * Standard deviation of the noise on each value of a round's sum of clipped updates. Throws `privacy-invalid` where an adaptive clip
 * norm leaves none for them.
 */
export function sumNoise(spec: RunSpec, noiseMultiplier: number, clipNorm: number): number {
  const countNoise = countNoiseOf(spec);
  return (countNoise === undefined ? noiseMultiplier : splitNoise(noiseMultiplier, countNoise)) * clipNorm;
}

/** How far an adaptive clip norm may rise above the one it begins with. */
export const clipNormRange = 1024;

/** What clients clip to before they send: the clip norm itself, or, where that adapts, its upper end. */
export function publicClipNorm(privacy: PrivateSpec): number {
  return privacy.mode === "client" && privacy.clipping.kind === "adaptive"
    ? privacy.clipNorm * clipNormRange
    : privacy.clipNorm;
}

/** What plans ask of clients; undefined in a run without privacy. */
export function planPrivacyOf({ privacy, weighting }: RunSpec, noiseMultiplier: number): PlanPrivacy | undefined {
  if (privacy.mode === "none") return undefined;
  const { delta, metricsNoise } = privacy;
  const shared = {
    noiseMultiplier,
    clipNorm: publicClipNorm(privacy),
    delta,
    ...(metricsNoise === undefined ? {} : { metricsNoise }),
  };
  switch (privacy.mode) {
    case "local":
      return { mode: privacy.mode, ...shared };
    case "client":
      // Capped counts are no release: they scale what the coordinator noises, and it keeps them to itself.
      return {
        mode: privacy.mode,
        ...shared,
        ...(weighting.kind === "uniform" ? {} : { maxExamples: weighting.maxExamples }),
      };
    case "example":
      return { mode: privacy.mode, ...shared, clipping: privacy.clipping, minExamples: privacy.minExamples };
  }
}
