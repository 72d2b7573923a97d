import { FedLoraError, noiseMultiplierFor, createAccountant } from "@fedlora/core";
import type { RunSpec } from "@fedlora/core";

import { eventsOf, noReleases, plannedCounts, sumNoise } from "./privacy-terms.js";
import type { PrivateSpec } from "./privacy-terms.js";
import { RunAccount } from "./run-account.js";
import type { RunNoise } from "./run-privacy.js";

/**
 * The noise of a run that is to be created, given or solved from its budget and rounds; undefined without privacy.
 *
 * @throws FedLoraError `privacy-unbounded` where no finite epsilon, or no noise, is enough; `privacy-budget` where not even one
 *   round is within the budget; `privacy-invalid` where an adaptive clip norm leaves no noise for the updates
 */
export function settleNoise(spec: RunSpec): RunNoise | undefined {
  const { privacy } = spec;
  if (privacy.mode === "none") return undefined;
  const noiseMultiplier = privacy.noiseMultiplier ?? solveNoise(spec, privacy);
  sumNoise(spec, noiseMultiplier, privacy.clipNorm);
  const { epsilon } = new RunAccount(spec, privacy, noiseMultiplier).bound({ ...noReleases, training: 1 });
  if (!(epsilon < Infinity)) {
    const message = `noise multiplier ${noiseMultiplier} gives no finite epsilon at delta ${privacy.delta}`;
    throw new FedLoraError("privacy-unbounded", message, { details: { field: "privacy.noiseMultiplier" } });
  }
  if (privacy.epsilon !== undefined && epsilon > privacy.epsilon) {
    const message =
      `one round alone costs epsilon ${show(epsilon)}, the budget is ${privacy.epsilon}: ` +
      `raise privacy.noiseMultiplier from ${noiseMultiplier}, or leave it out to have it solved`;
    throw new FedLoraError("privacy-budget", message, { details: { field: "privacy.epsilon" } });
  }
  return { noiseMultiplier, isNoiseSolved: privacy.noiseMultiplier === undefined };
}

function solveNoise(spec: RunSpec, { epsilon, delta, accountant }: PrivateSpec): number {
  if (epsilon === undefined) throw new FedLoraError("privacy-invalid", "privacy needs epsilon or noiseMultiplier");
  const counts = plannedCounts(spec);
  const eventsAt = (noiseMultiplier: number) => eventsOf(spec, noiseMultiplier, counts);
  return noiseMultiplierFor({ epsilon, delta }, eventsAt, createAccountant(accountant));
}

/** What a person should know before trusting the numbers. */
export function privacyWarnings({ privacy }: RunSpec): readonly string[] {
  const { mode } = privacy;
  if (mode !== "client" && mode !== "example") return [];
  const units = mode === "client" ? privacy.population : privacy.minExamples;
  if (privacy.delta <= 1 / units) return [];
  const what = mode === "client" ? "privacy.population" : "privacy.minExamples";
  return [
    `delta ${privacy.delta} is above 1 / ${units}, one over ${what}: ` +
      `publishing the data of one ${mode} outright would satisfy such a delta; choose a smaller one`,
  ];
}

/** Four significant digits, rounded up or, for what is left of a budget, down: what is shown is still a bound. */
export function show(epsilon: number, to: "up" | "down" = "up"): string {
  if (!Number.isFinite(epsilon) || epsilon === 0) return String(epsilon);
  const unit = 10 ** (Math.floor(Math.log10(epsilon)) - 3);
  const units = to === "up" ? Math.ceil(epsilon / unit - 1e-9) : Math.floor(epsilon / unit + 1e-9);
  return String(Number((units * unit).toPrecision(4)));
}
