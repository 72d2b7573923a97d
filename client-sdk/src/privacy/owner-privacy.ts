import {
  createAccountant,
  expectedBatch,
  FedLoraError,
  type PlanInstructions,
  type PlanKind,
  type PlanPrivacy,
  type PrivacyBound,
  type PrivacyEvent,
} from "@fedlora/core";
import type { LedgerEntry } from "./ledger.js";

export type PrivacyMode = PlanPrivacy["mode"];

/** What an owner asks of plans for the sake of privacy. */
export interface PrivacyPolicy {
  /**
   * Modes of privacy that are private enough; default: all, and none too. `example` hides one training example and `local`
   * the whole data set from everybody; `client` hides the data set from all but the coordinator, which must be trusted.
   */
  readonly require?: PrivacyMode | readonly PrivacyMode[];
  /** Most that all releases about the data set may come to, over all runs and coordinators; above 0. Needs `delta`. */
  readonly maxEpsilon?: number;
  /** At which epsilon is taken; above 0, below 1, and well below one over the number of examples. */
  readonly delta?: number;
}

/** @throws FedLoraError `config-invalid` naming the field */
export function assertPrivacyPolicy({ require, maxEpsilon, delta }: PrivacyPolicy): void {
  const unknown = listOf(require).find((mode) => !["example", "client", "local"].includes(mode));
  if (unknown !== undefined) throw invalid("require", `"${unknown}" must be example, client or local`);
  if (Array.isArray(require) && require.length === 0) throw invalid("require", "must name a mode");
  if (maxEpsilon !== undefined && !(maxEpsilon > 0 && maxEpsilon < Infinity)) {
    throw invalid("maxEpsilon", `${maxEpsilon} must be a finite number above 0`);
  }
  if (maxEpsilon !== undefined && delta === undefined) throw invalid("delta", "is missing; maxEpsilon needs it");
  if (delta !== undefined && !(delta > 0 && delta < 1)) throw invalid("delta", `${delta} must be above 0 and below 1`);
}

/**
 * What a plan releases about this client's data, at most: whatever the number of examples, and counting on no more than
 * the client can see. So a cohort's sampling is not counted (mode `client`), since the coordinator alone knows of it. There
 * the noise is for a client that takes part or not; one that takes part with other data moves the sum by twice as much, so
 * for its data the multiplier is half.
 */
export function releasedEvents({ privacy, training }: PlanInstructions, kind: PlanKind): readonly PrivacyEvent[] {
  if (privacy === undefined) {
    return [{ mechanism: { kind: "unbounded", reason: "a plan without privacy" }, count: 1 }];
  }
  const { noiseMultiplier, metricsNoise } = privacy;
  if (kind === "evaluate") {
    return metricsNoise === undefined
      ? [{ mechanism: { kind: "unbounded", reason: "an evaluation without noise" }, count: 1 }]
      : [{ mechanism: { kind: "gaussian", noiseMultiplier: metricsNoise }, count: 1 }];
  }
  if (privacy.mode === "client") {
    return [{ mechanism: { kind: "gaussian", noiseMultiplier: noiseMultiplier / 2 }, count: 1 }];
  }
  if (privacy.mode === "local") return [{ mechanism: { kind: "gaussian", noiseMultiplier }, count: 1 }];
  const samplingRate = Math.min(1, expectedBatch(training) / privacy.minExamples);
  return [{ mechanism: { kind: "sampled-gaussian", noiseMultiplier, samplingRate }, count: training.localSteps ?? 1 }];
}

/**
 * Holds a plan against the owner's policy and what the ledger holds of the data set.
 *
 * @param spent events of the ledger
 * @throws FedLoraError `policy-declined` for a mode that is not private enough, `privacy-budget` for what the owner does not
 *   spend any more
 */
export function assertPrivacyAllowed(
  { require, maxEpsilon, delta }: PrivacyPolicy,
  mode: PrivacyMode | "none",
  spent: readonly PrivacyEvent[],
  release: readonly PrivacyEvent[],
): void {
  const allowed = listOf(require);
  if (allowed.length > 0 && !allowed.some((candidate) => candidate === mode)) {
    const message = `privacy mode ${mode} is not one that the owner requires: ${allowed.join(", ")}`;
    throw new FedLoraError("policy-declined", message);
  }
  if (maxEpsilon === undefined || delta === undefined) return;
  const before = smallestEpsilon(spent, delta, maxEpsilon);
  const after = smallestEpsilon([...spent, ...release], delta, maxEpsilon);
  if (after <= maxEpsilon) return;
  throw new FedLoraError(
    "privacy-budget",
    `the plan would bring epsilon of the data set from ${shown(before)} to ${shown(after)} at delta ${delta}, ` +
      `the owner allows ${maxEpsilon}`,
    { details: { spent: String(before), epsilon: String(after), maxEpsilon: String(maxEpsilon) } },
  );
}

/** Both accountants give upper bounds; the slower, tighter one is asked only where the other's is too large. */
function smallestEpsilon(events: readonly PrivacyEvent[], delta: number, enough: number): number {
  const quick = createAccountant("rdp").epsilon(events, delta).epsilon;
  if (quick <= enough || quick === Infinity) return quick;
  return Math.min(quick, createAccountant("pld").epsilon(events, delta).epsilon);
}

/** What the releases about one data set come to. */
export interface DataSetPrivacy {
  readonly dataSet: string;
  readonly bound: PrivacyBound;
  readonly entries: readonly LedgerEntry[];
}

/**
 * Epsilon per data set, for one example of it: what holds for any two data sets of a client (mode `local`, and `client` as
 * it is entered) holds for two that differ in one example, so that releases of all modes add up. Withdrawn entries cost nothing.
 *
 * @throws FedLoraError `privacy-invalid` for a delta outside (0, 1)
 */
export function privacySpent(entries: readonly LedgerEntry[], delta: number): readonly DataSetPrivacy[] {
  const accountant = createAccountant("pld");
  return [...new Set(entries.map(({ dataSet }) => dataSet))].map((dataSet) => {
    const own = entries.filter((entry) => entry.dataSet === dataSet);
    const events = own.flatMap(({ state, events }) => (state === "withdrawn" ? [] : events));
    return { dataSet, bound: accountant.epsilon(events, delta), entries: own };
  });
}

const listOf = (require: PrivacyPolicy["require"]): readonly PrivacyMode[] =>
  require === undefined ? [] : typeof require === "string" ? [require] : require;

const shown = (epsilon: number): string => (epsilon === Infinity ? "infinity" : epsilon.toPrecision(4));

const invalid = (field: string, problem: string): FedLoraError =>
  new FedLoraError("config-invalid", `policy.privacy.${field} ${problem}`, {
    details: { option: `policy.privacy.${field}` },
  });
