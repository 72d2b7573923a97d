import { formatTable } from "@fedlora/core";
import { claimsText } from "./claims.js";
import type { Spread } from "./spread.js";
import type { ScenarioSummary } from "./summary.js";

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
  const claims = claimsText(summary.claims);
  return `${summary.scenario.name} (${what})\n${table}${claims === undefined ? "" : `\n\n${claims}`}`;
}

/** `0.9312 ± 0.0041`; without the deviation where there is one value, or where it would be shown as zero. */
export function shown(spread: Spread | undefined, digits: number): string | undefined {
  if (spread === undefined) return undefined;
  const { mean, std } = spread;
  const hasSpread = std !== undefined && Number(std.toFixed(digits)) !== 0;
  return !hasSpread ? mean.toFixed(digits) : `${mean.toFixed(digits)} ± ${std.toFixed(digits)}`;
}

export function scaled(spread: Spread | undefined, factor: number): Spread | undefined {
  if (spread === undefined) return undefined;
  const { mean, std, count } = spread;
  return { mean: mean * factor, std: std === undefined ? undefined : std * factor, count };
}
