import { htmlTable, type HtmlColumn } from "./html.js";
import { scaled, shown } from "./spread.js";
import type { ScenarioSummary, VariantSummary } from "./summary.js";

/** What every variant came to. */
export function resultsSection(summary: ScenarioSummary): string {
  const note =
    "Test examples are with no client; “own” is measured by the clients on examples that they set aside, all together or, for the worst tenth, client by client. Of the last round that was measured.";
  const quality = htmlTable("How good each variant became, over its seeds", qualityColumns(summary), summary.variants);
  const cost = htmlTable("What each variant took, over its seeds", costColumns, summary.variants);
  return `<h2>Results</h2>\n${quality}\n<p class="note">${note}</p>\n${cost}`;
}

const column = (title: string, cell: HtmlColumn<VariantSummary>["cell"]): HtmlColumn<VariantSummary> => {
  return { title, cell, isNumber: true };
};

function qualityColumns(summary: ScenarioSummary): HtmlColumn<VariantSummary>[] {
  return [
    { title: "variant", cell: ({ variant }) => variant },
    { title: "method", cell: ({ method }) => method },
    column("accuracy", ({ testAccuracy }) => shown(testAccuracy, 4)),
    column("F1", ({ testF1 }) => (summary.scenario.data.kind === "spam-assassin" ? shown(testF1, 4) : undefined)),
    column("loss", ({ testLoss }) => shown(testLoss, 4)),
    column("perplexity", ({ testPerplexity }) => shown(testPerplexity, 2)),
    column("own accuracy", ({ clientAccuracy }) => shown(clientAccuracy, 4)),
    column("own loss", ({ clientLoss }) => shown(clientLoss, 4)),
    column("worst own accuracy", ({ worstClientAccuracy }) => shown(worstClientAccuracy, 4)),
    column("own perplexity", ({ clientPerplexity }) => shown(clientPerplexity, 2)),
  ];
}

const costColumns: readonly HtmlColumn<VariantSummary>[] = [
  { title: "variant", cell: ({ variant }) => variant },
  column("rounds", ({ rounds }) => shown(rounds, 0)),
  column("virtual s", ({ virtualSeconds }) => shown(virtualSeconds, 0)),
  column("up MB", ({ bytesUp }) => shown(scaled(bytesUp, 1e-6), 2)),
  column("down MB", ({ bytesDown }) => shown(scaled(bytesDown, 1e-6), 2)),
  column("waiting s", ({ waitingSeconds }) => shown(waitingSeconds, 1)),
  column("bias", ({ bias }) => shown(bias, 4)),
  column("epsilon", ({ epsilon }) => shown(epsilon, 2)),
  column("completed", ({ completed, runs }) => `${completed}/${runs}`),
];
