import type { ScenarioResult } from "../run/run-scenario.js";
import { claimsSection } from "./claims-section.js";
import { curvesSection } from "./curves-section.js";
import { dataSection, devicesSection, runsSection, versionsSection } from "./facts-sections.js";
import { escaped, htmlPage } from "./html.js";
import { plansSection } from "./plans-section.js";
import { resultsSection } from "./results-section.js";
import type { ScenarioSummary } from "./summary.js";
import { targetSection } from "./target.js";
import { troublesSection } from "./troubles-section.js";

/** The whole comparison as one HTML file that needs no network and no script. */
export async function htmlReport(
  summary: ScenarioSummary,
  { runs }: ScenarioResult,
  scenarioText: string,
): Promise<string> {
  const { scenario } = summary;
  const seeds = [...new Set(summary.runs.map(({ seed }) => seed))];
  const spread = seeds.length === 1 ? "one seed" : `mean ± standard deviation over the seeds ${seeds.join(", ")}`;
  const body = [
    `<h1>${escaped(scenario.name)}</h1>`,
    scenario.description === "" ? "" : `<p>${escaped(scenario.description)}</p>`,
    `<p class="note">${escaped(`${spread}; ${partitionText(summary)}; model ${summary.model.name}`)}</p>`,
    resultsSection(summary),
    targetSection(scenario.target, summary.variants),
    claimsSection(summary.claims),
    await curvesSection(runs),
    await plansSection(summary.variants, runs),
    troublesSection(summary),
    devicesSection(summary),
    dataSection(summary),
    runsSection(summary),
    `<h2>Scenario</h2>`,
    `<pre>${escaped(scenarioText.trim())}</pre>`,
    versionsSection(summary),
  ];
  return htmlPage(`${scenario.name}: simulated federations`, body.filter((part) => part !== "").join("\n"));
}

function partitionText({ scenario: { partition } }: ScenarioSummary): string {
  const clients = partition.clients === undefined ? "" : ` over ${partition.clients} clients`;
  const alpha = "alpha" in partition ? `, alpha ${partition.alpha}` : "";
  return `partition ${partition.kind}${clients}${alpha}`;
}
