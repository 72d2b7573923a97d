import type { PrivacyReport } from "@fedlora/proto";
import { table } from "../output.js";
import { showBound } from "./plan-text.js";

type PrivateReport = Exclude<PrivacyReport, { readonly mode: "none" }>;

/** What a run has released and may release yet, as a person reads it. */
export function privacyReportText(run: string, report: PrivacyReport): string {
  if (report.mode === "none") return `${run} has no privacy: what it releases is not bounded`;
  const { account, rounds } = report;
  const lines = [
    `${run}: privacy.mode ${report.mode}, ${settings(report)}`,
    `spent: epsilon ${spent(account)} at delta ${account.delta}, plans that are out included; ${showBound(account.epsilonSettled)} in committed rounds`,
    left(account),
    ...account.warnings.map((warning) => `warning: ${warning}`),
  ];
  if (account.events.length > 0) lines.push("", table(["releases", "mechanism"], account.events.map(eventRow)));
  if (rounds.length > 0) {
    const rows = rounds.map(({ round, epsilon, clipNorm, unclippedShare }) => [
      round,
      showBound(epsilon),
      clipNorm.toPrecision(4),
      unclippedShare?.toFixed(3),
    ]);
    lines.push("", table(["round", "epsilon so far", "clip norm", "unclipped"], rows));
  }
  return lines.join("\n");
}

/** What whoever creates a private run is told at once. */
export function privacyNote(report: PrivacyReport): string {
  if (report.mode === "none") return "privacy: none";
  const { account } = report;
  const budget = account.epsilonBudget === undefined ? "no budget" : `budget epsilon ${account.epsilonBudget}`;
  return [
    `privacy: mode ${report.mode}, ${budget} at delta ${account.delta}, ${settings(report)}`,
    ...account.warnings.map((warning) => `privacy: ${warning}`),
  ].join("\n");
}

function settings({ account }: PrivateReport): string {
  const solved = account.isNoiseSolved ? " (solved)" : "";
  const rate = account.samplingRate === undefined ? "" : `, sampling rate at most ${showBound(account.samplingRate)}`;
  return `noise multiplier ${showBound(account.noiseMultiplier)}${solved}, clip norm ${account.clipNorm}${rate}`;
}

function spent({ epsilonSpent, epsilonSpentLower }: PrivateReport["account"]): string {
  const lower = epsilonSpentLower === undefined ? "" : ` (at least ${epsilonSpentLower.toPrecision(3)})`;
  return `${showBound(epsilonSpent)}${lower}`;
}

function left({ epsilonBudget, epsilonSpent }: PrivateReport["account"]): string {
  if (epsilonBudget === undefined) return "no budget: the run only counts";
  const rest = Math.max(0, epsilonBudget - epsilonSpent);
  // Rounded down: what is left is no more than that.
  return `left: epsilon ${Math.floor(rest * 1000) / 1000} of ${epsilonBudget}`;
}

function eventRow({ mechanism, count }: PrivateReport["account"]["events"][number]): readonly [number, string] {
  switch (mechanism.kind) {
    case "gaussian":
      return [count, `Gaussian, noise multiplier ${showBound(mechanism.noiseMultiplier)}`];
    case "sampled-gaussian":
      return [
        count,
        `Gaussian, noise multiplier ${showBound(mechanism.noiseMultiplier)}, sampling rate ${showBound(mechanism.samplingRate)}`,
      ];
    case "unbounded":
      return [count, `unbounded: ${mechanism.reason}`];
  }
}
