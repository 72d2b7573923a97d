import { formatTable } from "@fedlora/core";
import { claimsText } from "./claims.js";
import { scaled, shown } from "./spread.js";
import type { ScenarioSummary } from "./summary.js";
import { targetTable } from "./target.js";

/** The summary as a table for a terminal, and below it what became of the claims. */
export function textReport(summary: ScenarioSummary): string {
  const columns: [string, (row: ScenarioSummary["variants"][number]) => string | undefined][] = [
    ["variant", ({ variant }) => variant],
    ["method", ({ method }) => method],
    ["done", ({ completed, runs }) => `${completed}/${runs}`],
    ["rounds", ({ rounds }) => shown(rounds, 0)],
    ["accuracy", ({ testAccuracy }) => shown(testAccuracy, 4)],
    ["F1", ({ testF1 }) => (summary.scenario.data.kind === "spam-assassin" ? shown(testF1, 4) : undefined)],
    ["loss", ({ testLoss }) => shown(testLoss, 4)],
    ["perplexity", ({ testPerplexity }) => shown(testPerplexity, 2)],
    ["own accuracy", ({ clientAccuracy }) => shown(clientAccuracy, 4)],
    ["own loss", ({ clientLoss }) => shown(clientLoss, 4)],
    ["own perplexity", ({ clientPerplexity }) => shown(clientPerplexity, 2)],
    ["virtual s", ({ virtualSeconds }) => shown(virtualSeconds, 0)],
    ["up MB", ({ bytesUp }) => shown(scaled(bytesUp, 1e-6), 2)],
    ["down MB", ({ bytesDown }) => shown(scaled(bytesDown, 1e-6), 2)],
    ["waiting s", ({ waitingSeconds }) => shown(waitingSeconds, 1)],
    ["epsilon", ({ epsilon }) => shown(epsilon, 2)],
    ["refused", ({ refused }) => (refused === 0 ? undefined : String(refused))],
    ["dropouts", ({ dropouts }) => (dropouts === 0 ? undefined : String(dropouts))],
  ];
  const { variants } = summary;
  // A column that says nothing of anybody is left out.
  const used = columns.filter(([, cell]) => variants.some((row) => cell(row) !== undefined));
  const rows = variants.map((row) => used.map(([, cell]) => cell(row)));
  const align = used.map((_, column) => (column < 2 ? ("left" as const) : ("right" as const)));
  const seeds = new Set(summary.runs.map(({ seed }) => seed)).size;
  const what = seeds === 1 ? "one seed" : `${seeds} seeds: mean ± standard deviation`;
  const table = formatTable(
    used.map(([title]) => title),
    rows,
    { align, rule: true },
  );
  const parts = [
    `${summary.scenario.name} (${what})\n${table}`,
    targetTable(summary.scenario.target, variants),
    claimsText(summary.claims),
  ];
  return parts.filter((part) => part !== undefined).join("\n\n");
}
