import { noiseVerdict, type RunNoise } from "@fedlora/aggregators";
import { table } from "../output.js";
import type { PrivacyPlan } from "./plan-privacy.js";

const protects = {
  example: "each training example of a client",
  client: "a whole client, from everybody but the coordinator",
  local: "a whole client, from the coordinator too",
} as const;

/** Three significant digits, rounded up: what is shown is still a bound. */
export function showBound(value: number): string {
  if (!Number.isFinite(value)) return "infinite";
  if (value === 0) return "0";
  const unit = 10 ** (Math.floor(Math.log10(value)) - 2);
  return String(Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(3)));
}

/** The plan as a person reads it. */
export function privacyPlanText(plan: PrivacyPlan): string {
  const { mode, name, noise } = plan;
  return [
    `${name}: privacy.mode ${mode} protects ${protects[mode]}`,
    settings(plan),
    ...plan.warnings.map((warning) => `warning: ${warning}`),
    "",
    `Epsilon by rounds, noise multiplier ${showBound(plan.noiseMultiplier)}, delta ${plan.delta}:`,
    table(
      ["rounds", "releases", "epsilon (pld)", "epsilon (rdp)", ""],
      plan.epsilonByRounds.map(({ rounds, pld, rdp }) => [
        rounds,
        rounds * plan.releasesPerRound,
        showBound(pld),
        showBound(rdp),
        rounds === plan.rounds ? "this run" : "",
      ]),
    ),
    "",
    `Noise multiplier by rounds and epsilon (rdp), delta ${plan.delta}:`,
    table(
      ["rounds", ...plan.epsilons.map((epsilon) => `epsilon ${epsilon}`)],
      plan.noiseByRounds.map(({ rounds, noiseMultipliers }) => [
        rounds,
        ...noiseMultipliers.map((multiplier) => (multiplier === null ? "none" : showBound(multiplier))),
      ]),
    ),
    "",
    ...(noise === null ? ["Noise in the weights: add --model to compare methods."] : noiseLines(noise)),
  ].join("\n");
}

function settings(plan: PrivacyPlan): string {
  const rate =
    plan.samplingRate === null ? "everybody takes part" : `sampling rate at most ${showBound(plan.samplingRate)}`;
  const solved = plan.isNoiseSolved ? ", solved from budget and rounds" : "";
  const budget = plan.budget === null ? "no budget" : `budget epsilon ${plan.budget}`;
  const paid = plan.affordableRounds === null ? "" : `, pays for ${plan.affordableRounds} of ${plan.rounds} rounds`;
  return [
    `${plan.releasesPerRound} ${plan.releasesPerRound === 1 ? "release" : "releases"} a round, ${rate}, clip norm ${plan.clipNorm}`,
    `${budget}${paid}; noise multiplier ${showBound(plan.noiseMultiplier)}${solved}`,
  ].join("\n");
}

function noiseLines(noise: RunNoise): string[] {
  const { chosen, rows, entries } = noise;
  const quietest = rows[0]?.grown ?? 0;
  return [
    `Noise in the weights per round (norm), with ${showBound(entries.std)} on each value that travels`,
    `(${entries.origin}), the signal left out:`,
    table(
      ["method", "adapter", "values", "at first", "B as large as A", "times the least", "noise x noise", ""],
      rows.map((row) => [
        row.method,
        row.variant,
        row.noisedValues.toLocaleString("en-US"),
        row.atStart === 0 ? "0" : row.atStart.toPrecision(3),
        row.grown.toPrecision(3),
        (row.grown / quietest).toFixed(1),
        `${(100 * row.quadraticShare).toFixed(0)} %`,
        row === chosen ? "this run" : "",
      ]),
    ),
    noiseVerdict(noise),
  ];
}
