import { formatTable } from "@fedlora/core";
import type { ReferenceLine } from "./report.js";

/** What the coordinator's ledger says of the private run. */
export interface SpentPrivacy {
  /** Spent by the member that spent most, upper bound. */
  readonly epsilon: number;
  readonly budget: number;
  readonly delta: number;
  readonly noiseMultiplier: number;
  readonly clipNorm: number;
}

export interface PrivateDemoReport {
  readonly seed: number;
  readonly members: readonly { readonly name: string; readonly mails: number; readonly spam: number }[];
  readonly rounds: number;
  readonly stepsPerModel: number;
  readonly plain: ReferenceLine;
  readonly private: ReferenceLine;
  /** What calling every mail ham comes to. */
  readonly allHam: ReferenceLine;
  /** Of the private federation against the plain one, in points. */
  readonly loss: { readonly accuracy: number; readonly f1: number };
  readonly spent: SpentPrivacy;
  /** Of the private run's adapter. */
  readonly adapterFolder: string;
  readonly adapterHash: string;
  readonly seconds: number;
}

/** The report as a person reads it. */
export function privateReportText(report: PrivateDemoReport): string {
  const { spent, loss, plain, allHam } = report;
  const { epsilon, budget, delta, noiseMultiplier, clipNorm } = spent;
  const scores = ({ name, accuracy, f1 }: ReferenceLine): readonly string[] => [
    name,
    accuracy.toFixed(4),
    f1.toFixed(4),
  ];
  const rows = [
    [...scores(plain), "unbounded", "", ""],
    [...scores(report.private), showEpsilon(epsilon), String(delta), noiseMultiplier.toPrecision(3)],
    [...scores(allHam), "0", "", ""],
  ];
  const change = (points: number): string => `${Math.abs(points).toFixed(1)} points ${points >= 0 ? "less" : "more"}`;
  return [
    "",
    "The same held-out mail, with and without privacy:",
    formatTable(["", "accuracy", "F1 spam", "epsilon", "delta", "noise multiplier"], rows, {
      align: ["left", "right", "right", "right", "right", "right"],
      indent: 2,
    }),
    "",
    `With privacy the federation has ${change(loss.accuracy)} of accuracy and ${change(loss.f1)} of F1.`,
    `For that, every single mail is hidden at epsilon ${showEpsilon(epsilon)}, delta ${delta}, from everybody, the coordinator too:`,
    `what its ledger says was spent, of a budget of ${budget}, in ${report.rounds} rounds of ${report.stepsPerModel / report.rounds} steps (DP-SGD, clip norm ${clipNorm}).`,
    "",
    `Adapter, of the private run: ${report.adapterFolder} (loads in Hugging Face PEFT)`,
    `SHA-256 of adapter_model.safetensors: ${report.adapterHash}`,
    "Noise and batches are drawn in secret: no two private runs are alike, whatever the seed.",
    "",
    `${report.seconds.toFixed(0)} s in all`,
  ].join("\n");
}

/** Three significant digits, rounded up: what is shown is still a bound. */
export function showEpsilon(epsilon: number): string {
  if (!Number.isFinite(epsilon)) return "infinite";
  if (epsilon === 0) return "0";
  const unit = 10 ** (Math.floor(Math.log10(epsilon)) - 2);
  return String(Number((Math.ceil(epsilon / unit - 1e-9) * unit).toPrecision(3)));
}
