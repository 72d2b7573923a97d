import { formatTable } from "@fedlora/core";
import type { RunResult } from "../run/round-row.js";
import type { Target } from "../scenario/claim-schema.js";
import { htmlTable, type HtmlColumn } from "./html.js";
import { metricOf, untilOf } from "./run-metrics.js";
import { scaled, shown, spreadOf, type Spread } from "./spread.js";

/** What it took a variant's runs to come as far as the scenario's target; means over those that did. */
export interface TargetSummary {
  /** Runs that reached it. */
  readonly reached: number;
  readonly rounds: Spread | undefined;
  readonly virtualSeconds: Spread | undefined;
  /** Up and down, all clients together. */
  readonly bytes: Spread | undefined;
}

/** What `VariantSummary` holds of it. */
interface TargetRow {
  readonly variant: string;
  readonly runs: number;
  readonly target: TargetSummary | undefined;
}

/** Undefined without a target. */
export function summarizeTarget(target: Target | undefined, runs: readonly RunResult[]): TargetSummary | undefined {
  if (target === undefined) return undefined;
  const of = (metric: "rounds" | "virtualSeconds" | "bytes"): number[] =>
    runs.map((run) => metricOf(run, metric, target) ?? Number.POSITIVE_INFINITY).filter(Number.isFinite);
  return {
    reached: of("rounds").length,
    rounds: spreadOf(of("rounds")),
    virtualSeconds: spreadOf(of("virtualSeconds")),
    bytes: spreadOf(of("bytes")),
  };
}

const columns: readonly HtmlColumn<TargetRow>[] = [
  { title: "variant", cell: ({ variant }) => variant },
  { title: "reached", cell: ({ target, runs }) => reachedText(target, runs), isNumber: true },
  { title: "rounds", cell: ({ target }) => shown(target?.rounds, 1), isNumber: true },
  { title: "virtual s", cell: ({ target }) => shown(target?.virtualSeconds, 1), isNumber: true },
  { title: "MB", cell: ({ target }) => shown(scaled(target?.bytes, 1e-6), 2), isNumber: true },
];

/** Empty where the scenario has no target. */
export function targetSection(target: Target | undefined, variants: readonly TargetRow[]): string {
  if (target === undefined) return "";
  const note = "Of the runs that reached it, at the first test that did; bytes up and down of all clients.";
  return `<h2>Until ${targetText(target)}</h2>\n${htmlTable("What it took to get there", columns, variants)}\n<p class="note">${note}</p>`;
}

/** The same for a terminal; undefined where the scenario has no target. */
export function targetTable(target: Target | undefined, variants: readonly TargetRow[]): string | undefined {
  if (target === undefined) return undefined;
  const table = formatTable(
    columns.map(({ title }) => title),
    variants.map((row) => columns.map(({ cell }) => cell(row))),
    { align: columns.map(({ isNumber }) => (isNumber === true ? "right" : "left")), rule: true },
  );
  return `Until ${targetText(target)}\n${table}`;
}

function targetText(target: Target): string {
  const { quality, target: value } = untilOf(target);
  const names = { accuracy: "accuracy", loss: "loss", clientAccuracy: "own accuracy", clientLoss: "own loss" } as const;
  return `${names[quality]} ${value}`;
}

function reachedText(target: TargetSummary | undefined, runs: number): string {
  const reached = target?.reached ?? 0;
  return reached === 0 ? "not reached" : `${reached}/${runs}`;
}
