import type { Accountant, PrivacyEvent, PrivacySpec } from "@fedlora/core";
import type { GetPrivacyResponse, GetPrivacyResponse__Output } from "../gen/fedlora/v1/GetPrivacyResponse.js";
import type { PrivacyAccount as WireAccount, PrivacyAccount__Output } from "../gen/fedlora/v1/PrivacyAccount.js";
import type { PrivacyEvent as WireEvent, PrivacyEvent__Output } from "../gen/fedlora/v1/PrivacyEvent.js";
import type { PrivacyRound as WireRound, PrivacyRound__Output } from "../gen/fedlora/v1/PrivacyRound.js";
import { limits } from "../limits.js";
import { checkFinite, checkInt, checkList, checkOneOf, checkPresent, checkText, invalid } from "./checks.js";

export const privacyModes = ["none", "example", "client", "local"] as const satisfies readonly PrivacySpec["mode"][];

/** What a private run has released so far, and the bound that follows. An epsilon may be infinite, never NaN. */
export interface PrivacyAccount {
  readonly accountant: Accountant["name"];
  readonly delta: number;
  /** Upper bound over everything that was released or may be yet: plans that are out are reserved, so they count. */
  readonly epsilonSpent: number;
  /** Lower bound of the same; undefined where the accountant has none. */
  readonly epsilonSpentLower: number | undefined;
  /** Of committed rounds alone: at most `epsilonSpent`. */
  readonly epsilonSettled: number;
  /** Undefined: accounted only. */
  readonly epsilonBudget: number | undefined;
  readonly noiseMultiplier: number;
  /** Whether the noise was solved from budget and rounds rather than given. */
  readonly isNoiseSolved: boolean;
  /** Of the next round. */
  readonly clipNorm: number;
  /** Probability, at most, that a client (mode `client`) or an example (mode `example`) takes part in a release. */
  readonly samplingRate: number | undefined;
  /** What was spent, equal mechanisms merged. */
  readonly events: readonly PrivacyEvent[];
  readonly warnings: readonly string[];
}

export interface PrivacyRound {
  readonly round: number;
  /** Spent when the round was committed. */
  readonly epsilon: number;
  /** What its updates were clipped to. */
  readonly clipNorm: number;
  /** Share of updates left unclipped, with noise; undefined without adaptive clipping. */
  readonly unclippedShare: number | undefined;
}

export type PrivacyReport =
  | { readonly mode: "none" }
  | {
      readonly mode: Exclude<PrivacySpec["mode"], "none">;
      readonly account: PrivacyAccount;
      readonly rounds: readonly PrivacyRound[];
    };

/** A page of a report: `hasMoreRounds` says that rounds follow the last one here. */
export type PrivacyPage = PrivacyReport & { readonly hasMoreRounds: boolean };

/** One page: the rounds above `afterRound`, as many as one message holds. */
export function privacyReportToWire(report: PrivacyReport, afterRound = 0): GetPrivacyResponse {
  if (report.mode === "none") return { mode: report.mode };
  const rounds = report.rounds.filter(({ round }) => round > afterRound);
  const page = rounds.slice(0, limits.listEntries);
  return {
    mode: report.mode,
    account: accountToWire(report.account),
    rounds: page.map(roundToWire),
    moreRounds: page.length < rounds.length,
  };
}

export function privacyPageFromWire(wire: GetPrivacyResponse__Output): PrivacyPage {
  const mode = checkOneOf(wire.mode, privacyModes, "mode");
  if (mode === "none") return { mode, hasMoreRounds: false };
  return {
    mode,
    account: accountFromWire(checkPresent(wire.account, "account")),
    rounds: checkList(wire.rounds, "rounds", limits.listEntries, roundFromWire),
    hasMoreRounds: wire.moreRounds,
  };
}

function accountToWire(account: PrivacyAccount): WireAccount {
  const { epsilonSpentLower, epsilonBudget, samplingRate, isNoiseSolved, events, warnings, ...numbers } = account;
  return {
    ...numbers,
    noiseSolved: isNoiseSolved,
    ...(epsilonSpentLower === undefined ? {} : { epsilonSpentLower }),
    ...(epsilonBudget === undefined ? {} : { epsilonBudget }),
    ...(samplingRate === undefined ? {} : { samplingRate }),
    events: events.map(eventToWire),
    warnings: warnings.slice(0, limits.wordEntries).map((text) => text.slice(0, limits.textChars)),
  };
}

function accountFromWire(wire: PrivacyAccount__Output): PrivacyAccount {
  const { epsilonSpentLower, epsilonBudget, samplingRate } = wire;
  return {
    accountant: checkOneOf(wire.accountant, ["pld", "rdp"], "account.accountant"),
    delta: checkFinite(wire.delta, "account.delta", 0, 1),
    epsilonSpent: checkEpsilon(wire.epsilonSpent, "account.epsilon_spent"),
    epsilonSpentLower:
      epsilonSpentLower === undefined ? undefined : checkEpsilon(epsilonSpentLower, "account.epsilon_spent_lower"),
    epsilonSettled: checkEpsilon(wire.epsilonSettled, "account.epsilon_settled"),
    epsilonBudget: epsilonBudget === undefined ? undefined : checkFinite(epsilonBudget, "account.epsilon_budget", 0),
    noiseMultiplier: checkFinite(wire.noiseMultiplier, "account.noise_multiplier", 0),
    isNoiseSolved: wire.noiseSolved,
    clipNorm: checkFinite(wire.clipNorm, "account.clip_norm", 0),
    samplingRate: samplingRate === undefined ? undefined : checkFinite(samplingRate, "account.sampling_rate", 0, 1),
    events: checkList(wire.events, "account.events", limits.listEntries, eventFromWire),
    warnings: checkList(wire.warnings, "account.warnings", limits.wordEntries, (text, field) =>
      checkText(text, field, limits.textChars),
    ),
  };
}

function eventToWire({ mechanism, count }: PrivacyEvent): WireEvent {
  const { kind: name, ...parameters } = mechanism;
  return { mechanism: name, ...parameters, count };
}

function eventFromWire(wire: PrivacyEvent__Output, field: string): PrivacyEvent {
  const kind = checkOneOf(wire.mechanism, ["gaussian", "sampled-gaussian", "unbounded"], `${field}.mechanism`);
  const count = checkInt(wire.count, `${field}.count`, 1);
  if (kind === "unbounded") {
    return { mechanism: { kind, reason: checkText(wire.reason, `${field}.reason`, limits.textChars) }, count };
  }
  const noiseMultiplier = checkFinite(wire.noiseMultiplier, `${field}.noise_multiplier`, 0);
  if (kind === "gaussian") return { mechanism: { kind, noiseMultiplier }, count };
  const samplingRate = checkFinite(wire.samplingRate, `${field}.sampling_rate`, 0, 1);
  return { mechanism: { kind, noiseMultiplier, samplingRate }, count };
}

function roundToWire({ unclippedShare, ...round }: PrivacyRound): WireRound {
  return { ...round, ...(unclippedShare === undefined ? {} : { unclippedShare }) };
}

function roundFromWire(wire: PrivacyRound__Output, field: string): PrivacyRound {
  const { unclippedShare } = wire;
  return {
    round: checkInt(wire.round, `${field}.round`),
    epsilon: checkEpsilon(wire.epsilon, `${field}.epsilon`),
    clipNorm: checkFinite(wire.clipNorm, `${field}.clip_norm`, 0),
    unclippedShare:
      unclippedShare === undefined ? undefined : checkFinite(unclippedShare, `${field}.unclipped_share`, 0, 1),
  };
}

function checkEpsilon(value: number, field: string): number {
  if (!(value >= 0)) throw invalid(field, `is ${value}`, "0 or more, or Infinity");
  return value;
}
