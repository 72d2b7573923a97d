import type { RoundRow } from "../run/round-row.js";
import type { ScenarioResult } from "../run/run-scenario.js";
import { chartLegend, lineChart } from "./chart.js";
import { claimsSection } from "./claims-section.js";
import { plansSection } from "./plans-section.js";
import { targetSection } from "./target.js";
import { curvesOf, type CurveAxis } from "./curves.js";
import { escaped, htmlPage, htmlTable, type HtmlColumn } from "./html.js";
import type { ScenarioSummary, VariantSummary } from "./summary.js";
import { scaled, shown } from "./spread.js";

interface Measurement {
  readonly title: string;
  /** Of the y axis. */
  readonly label: string;
  readonly of: (row: RoundRow) => number | undefined;
  readonly axes: readonly CurveAxis[];
}

const axisLabels: Readonly<Record<CurveAxis, string>> = {
  rounds: "rounds",
  "virtual time": "virtual time (seconds)",
  bytes: "bytes up and down, all clients (MB)",
};

const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const everyAxis: readonly CurveAxis[] = ["rounds", "virtual time", "bytes"];

const measurements: readonly Measurement[] = [
  { title: "Accuracy on test examples", label: "accuracy", of: ({ test }) => test?.accuracy, axes: everyAxis },
  { title: "Loss on test examples", label: "loss (nats)", of: ({ test }) => test?.loss, axes: everyAxis },
  {
    title: "Accuracy of the clients' own models",
    label: "accuracy",
    of: ({ evaluation }) => numberOf(evaluation?.["accuracy"]),
    axes: everyAxis,
  },
  {
    title: "Loss of the clients' own models",
    label: "loss (nats)",
    of: ({ evaluation }) => numberOf(evaluation?.["loss"]),
    axes: ["rounds"],
  },
  {
    title: "Aggregation bias",
    label: "bias, relative",
    of: ({ methodMetrics }) => methodMetrics["bias"],
    axes: ["rounds"],
  },
  {
    title: "Privacy spent",
    label: "epsilon",
    of: ({ epsilon }) => epsilon,
    axes: ["rounds"],
  },
  {
    title: "Contributors' wait for the last one",
    label: "seconds",
    of: ({ waitingMs }) => (waitingMs === undefined ? undefined : waitingMs / 1000),
    axes: ["rounds"],
  },
];

/** The whole comparison as one HTML file that needs no network and no script. */
export async function htmlReport(
  summary: ScenarioSummary,
  result: ScenarioResult,
  scenarioText: string,
): Promise<string> {
  const { scenario } = summary;
  const seeds = [...new Set(summary.runs.map(({ seed }) => seed))];
  const spread = seeds.length === 1 ? "one seed" : `mean ± standard deviation over the seeds ${seeds.join(", ")}`;
  const body = [
    `<h1>${escaped(scenario.name)}</h1>`,
    scenario.description === "" ? "" : `<p>${escaped(scenario.description)}</p>`,
    `<p class="note">${escaped(`${spread}; ${partitionText(summary)}; model ${summary.model.name}`)}</p>`,
    `<h2>Results</h2>`,
    htmlTable(resultColumns(summary), summary.variants),
    `<p class="note">Test examples are with no client; “own” is measured by the clients on examples that they set aside. Of the last round that was measured.</p>`,
    targetSection(scenario.target, summary.variants),
    claimsSection(summary.claims),
    await charts(result),
    await plansSection(summary.variants, result.runs),
    troubles(summary),
    devices(summary),
    `<h2>Data</h2>`,
    htmlTable(pairColumns, dataPairs(summary)),
    `<h2>Runs</h2>`,
    `<p class="note">The same scenario and seed give the same hash of the last global adapter, at any number of workers with the same engine.</p>`,
    htmlTable(runColumns, summary.runs),
    `<h2>Scenario</h2>`,
    `<pre>${escaped(scenarioText.trim())}</pre>`,
    `<h2>Versions</h2>`,
    htmlTable(pairColumns, versionPairs(summary)),
  ];
  return htmlPage(`${scenario.name}: simulated federations`, body.filter((part) => part !== "").join("\n"));
}

async function charts({ runs }: ScenarioResult): Promise<string> {
  const variants = [...new Set(runs.map(({ variant }) => variant))];
  const figures: string[] = [];
  for (const { title, label, of, axes } of measurements) {
    for (const axis of axes) {
      const points = curvesOf(runs, axis, of);
      // A single point is in the table already.
      if (points.length <= variants.length) continue;
      const over = axis === "rounds" ? "" : ` against ${axis}`;
      const svg = await lineChart(points, { x: axisLabels[axis], y: label, variants });
      figures.push(`<figure><figcaption>${escaped(title + over)}</figcaption>${svg}</figure>`);
    }
  }
  const legend = variants.length < 2 ? "" : chartLegend(variants);
  return figures.length === 0
    ? ""
    : `<h2>Curves</h2>\n<p class="note">Bands are one standard deviation over the seeds.</p>${legend}\n<div class="charts">${figures.join("\n")}</div>`;
}

function resultColumns(summary: ScenarioSummary): HtmlColumn<VariantSummary>[] {
  const column = (title: string, cell: HtmlColumn<VariantSummary>["cell"]): HtmlColumn<VariantSummary> => {
    return { title, cell, isNumber: true };
  };
  return [
    { title: "variant", cell: ({ variant }) => variant },
    { title: "method", cell: ({ method }) => method },
    column("accuracy", ({ testAccuracy }) => shown(testAccuracy, 4)),
    column("F1", ({ testF1 }) => (summary.scenario.data.kind === "spam-assassin" ? shown(testF1, 4) : undefined)),
    column("loss", ({ testLoss }) => shown(testLoss, 4)),
    column("perplexity", ({ testPerplexity }) => shown(testPerplexity, 2)),
    column("own accuracy", ({ clientAccuracy }) => shown(clientAccuracy, 4)),
    column("own loss", ({ clientLoss }) => shown(clientLoss, 4)),
    column("own perplexity", ({ clientPerplexity }) => shown(clientPerplexity, 2)),
    column("rounds", ({ rounds }) => shown(rounds, 0)),
    column("virtual s", ({ virtualSeconds }) => shown(virtualSeconds, 0)),
    column("up MB", ({ bytesUp }) => shown(scaled(bytesUp, 1e-6), 2)),
    column("down MB", ({ bytesDown }) => shown(scaled(bytesDown, 1e-6), 2)),
    column("waiting s", ({ waitingSeconds }) => shown(waitingSeconds, 1)),
    column("epsilon", ({ epsilon }) => shown(epsilon, 2)),
    column("runs", ({ completed, runs }) => `${completed}/${runs}`),
  ];
}

/** What was refused, declined and lost, where anything was. */
function troubles({ variants, runs }: ScenarioSummary): string {
  const rows = variants.flatMap(({ variant, dropouts }) => {
    const own = runs.filter((run) => run.variant === variant);
    const count = (what: string, counts: readonly Readonly<Record<string, number>>[]) =>
      [...new Set(counts.flatMap((each) => Object.keys(each)))].map((code) => {
        const total = counts.reduce((sum, each) => sum + (each[code] ?? 0), 0);
        return { variant, what, code, count: String(total) };
      });
    return [
      ...count(
        "updates refused",
        own.map(({ refusals }) => refusals),
      ),
      ...count(
        "plans declined",
        own.map(({ declines }) => declines),
      ),
      ...(dropouts === 0 ? [] : [{ variant, what: "clients vanished", code: undefined, count: String(dropouts) }]),
    ];
  });
  if (rows.length === 0) return "";
  const columns: HtmlColumn<(typeof rows)[number]>[] = [
    { title: "variant", cell: ({ variant }) => variant },
    { title: "what", cell: ({ what }) => what },
    { title: "why", cell: ({ code }) => code },
    { title: "times", cell: ({ count }) => count, isNumber: true },
  ];
  return `<h2>Refused, declined, lost</h2>\n${htmlTable(columns, rows)}`;
}

function devices({ scenario, runs }: ScenarioSummary): string {
  const { classes } = scenario.devices;
  const participants = (name: string): number => runs.reduce((sum, run) => sum + (run.classes[name] ?? 0), 0);
  const columns: HtmlColumn<(typeof classes)[number]>[] = [
    { title: "class", cell: ({ name }) => name },
    { title: "share", cell: ({ share }) => String(share), isNumber: true },
    { title: "ms per step", cell: ({ stepMs }) => String(stepMs), isNumber: true },
    { title: "down MB/s", cell: ({ downloadBytesPerSecond: rate }) => (rate / 1e6).toFixed(1), isNumber: true },
    { title: "up MB/s", cell: ({ uploadBytesPerSecond }) => rateText(uploadBytesPerSecond), isNumber: true },
    {
      title: "largest rank",
      cell: ({ maxRank }) => (maxRank === undefined ? undefined : String(maxRank)),
      isNumber: true,
    },
    { title: "clients that took part, all runs", cell: ({ name }) => String(participants(name)), isNumber: true },
  ];
  return `<h2>Devices</h2>\n${htmlTable(columns, classes)}`;
}

function rateText(rate: ScenarioSummary["scenario"]["devices"]["classes"][number]["uploadBytesPerSecond"]): string {
  const text = (bytes: number): string => (bytes / 1e6).toFixed(1);
  return typeof rate === "number" ? text(rate) : `${text(rate.min)} to ${text(rate.max)}`;
}

type Pair = readonly [string, string];

const pairColumns: readonly HtmlColumn<Pair>[] = [
  { title: "", cell: ([name]) => name },
  { title: "", cell: ([, value]) => value },
];

function dataPairs({ data }: ScenarioSummary): Pair[] {
  return [
    ["data set", data.name],
    ["source", data.source],
    ["licence", data.licence],
    ["examples", String(data.examples)],
    ["SHA-256", data.sha256],
  ];
}

function versionPairs({ versions, engine, model, workers }: ScenarioSummary): Pair[] {
  return [
    ...Object.entries(versions),
    ["engine", `${engine.name}: ${engine.fingerprint}`],
    ["model hash", model.hash],
    ["workers", String(workers)],
  ];
}

const runColumns: readonly HtmlColumn<ScenarioSummary["runs"][number]>[] = [
  { title: "variant", cell: ({ variant }) => variant },
  { title: "seed", cell: ({ seed }) => String(seed), isNumber: true },
  { title: "state", cell: ({ state }) => state },
  { title: "rounds", cell: ({ rounds }) => String(rounds), isNumber: true },
  { title: "trainings", cell: ({ trainings }) => String(trainings), isNumber: true },
  { title: "real s", cell: ({ wallSeconds }) => wallSeconds.toFixed(0), isNumber: true },
  { title: "last global adapter", cell: ({ finalHash }) => finalHash.slice(0, 16) },
  { title: "why", cell: ({ reason }) => (reason === "" ? undefined : reason) },
];

function partitionText({ scenario: { partition } }: ScenarioSummary): string {
  const clients = partition.clients === undefined ? "" : ` over ${partition.clients} clients`;
  const alpha = "alpha" in partition ? `, alpha ${partition.alpha}` : "";
  return `partition ${partition.kind}${clients}${alpha}`;
}
