import { runNoise, type RunNoise } from "@fedlora/aggregators";
import { privacyEvents, privacyWarnings, plannedReleases, samplingRateOf, settleNoise } from "@fedlora/coordinator";
import { createAccountant, FedLoraError, noiseMultiplierFor, stepsFor } from "@fedlora/core";
import type { Accountant, RunSpec, StateDict } from "@fedlora/core";
import type { ModelShapes } from "../model-shapes.js";

/** Epsilon after so many rounds, for a unit that takes part in all of them. */
export interface EpsilonRow {
  readonly rounds: number;
  readonly pld: number;
  readonly rdp: number;
}

/** Noise multipliers that reach the epsilons of the plan after so many rounds; null: none does. */
export interface NoiseRowOfRounds {
  readonly rounds: number;
  readonly noiseMultipliers: readonly (number | null)[];
}

/** What a private run will cost and what its noise will do, before anything runs. */
export interface PrivacyPlan {
  readonly name: string;
  readonly mode: "example" | "client" | "local";
  readonly delta: number;
  readonly clipNorm: number;
  readonly budget: number | null;
  readonly accountant: Accountant["name"];
  readonly noiseMultiplier: number;
  readonly isNoiseSolved: boolean;
  /** At most; null: every unit takes part in every release. */
  readonly samplingRate: number | null;
  readonly releasesPerRound: number;
  readonly rounds: number;
  /** Rounds that the budget pays for; null without a budget. */
  readonly affordableRounds: number | null;
  readonly epsilonByRounds: readonly EpsilonRow[];
  readonly epsilons: readonly number[];
  readonly noiseByRounds: readonly NoiseRowOfRounds[];
  /** Where the model's shapes are known. */
  readonly noise: RunNoise | null;
  readonly warnings: readonly string[];
}

export interface PrivacyPlanRequest {
  readonly spec: RunSpec;
  readonly model: ModelShapes | undefined;
  readonly adapter: StateDict | undefined;
  /** Of the reverse table, ascending. */
  readonly epsilons: readonly number[];
}

/** @throws FedLoraError `spec-invalid` for a run without privacy, and what creating the run would throw */
export function planPrivacy({ spec, model, adapter, epsilons }: PrivacyPlanRequest): PrivacyPlan {
  const { privacy } = spec;
  const noise = settleNoise(spec);
  if (privacy.mode === "none" || noise === undefined) {
    throw new FedLoraError("spec-invalid", `the run "${spec.name}" has no privacy to plan: give privacy.mode`, {
      details: { path: "privacy.mode" },
    });
  }
  const { noiseMultiplier, isNoiseSolved } = noise;
  const { delta, clipNorm, accountant } = privacy;
  const eventsAt = (rounds: number, multiplier: number) =>
    privacyEvents(spec, multiplier, plannedReleases({ ...spec, rounds }));
  const epsilonOf = (name: Accountant["name"], rounds: number): number => {
    return createAccountant(name).epsilon(eventsAt(rounds, noiseMultiplier), delta).epsilon;
  };
  const noiseOf = (epsilon: number, rounds: number): number | null => {
    try {
      return noiseMultiplierFor(
        { epsilon, delta },
        (multiplier) => eventsAt(rounds, multiplier),
        createAccountant("rdp"),
      );
    } catch (error) {
      if (error instanceof FedLoraError && error.code === "privacy-unbounded") return null;
      throw error;
    }
  };
  const { epsilon: budget } = privacy;
  const affordable = (epsilon: number): number =>
    stepsFor(
      { epsilon, delta },
      (rounds) => eventsAt(rounds, noiseMultiplier),
      createAccountant(accountant),
      spec.rounds,
    );
  const stepsPerRound = privacy.mode === "example" ? (spec.training.localSteps ?? 1) : 1;
  return {
    name: spec.name,
    ...{ mode: privacy.mode, delta, clipNorm, accountant, noiseMultiplier, isNoiseSolved },
    budget: budget ?? null,
    samplingRate: samplingRateOf(spec) ?? null,
    releasesPerRound: stepsPerRound,
    rounds: spec.rounds,
    affordableRounds: budget === undefined ? null : affordable(budget),
    epsilonByRounds: roundsUpTo(2 * spec.rounds, spec.rounds).map((rounds) => ({
      rounds,
      pld: epsilonOf("pld", rounds),
      rdp: epsilonOf("rdp", rounds),
    })),
    epsilons,
    noiseByRounds: roundsUpTo(2 * spec.rounds, spec.rounds).map((rounds) => ({
      rounds,
      noiseMultipliers: epsilons.map((epsilon) => noiseOf(epsilon, rounds)),
    })),
    noise: (model && runNoise(spec, model, noiseMultiplier, adapter)) ?? null,
    warnings: privacyWarnings(spec),
  };
}

/** 1, 2, 5, 10, ... below the last, the run's own rounds, and the last. */
function roundsUpTo(last: number, own: number): readonly number[] {
  const usual: number[] = [];
  for (let decade = 1; decade < last; decade *= 10) usual.push(decade, 2 * decade, 5 * decade);
  return [...new Set([...usual.filter((rounds) => rounds < last), own, last])].sort((a, b) => a - b);
}
