import { htmlTable, type HtmlColumn } from "./html.js";
import type { ScenarioSummary } from "./summary.js";

/** The machines that the scenario names, and how many of each took part. */
export function devicesSection({ scenario, runs }: ScenarioSummary): string {
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
  return `<h2>Devices</h2>\n${htmlTable("Classes of simulated devices", columns, classes)}`;
}

function rateText(rate: ScenarioSummary["scenario"]["devices"]["classes"][number]["uploadBytesPerSecond"]): string {
  const text = (bytes: number): string => (bytes / 1e6).toFixed(1);
  return typeof rate === "number" ? text(rate) : `${text(rate.min)} to ${text(rate.max)}`;
}

type Pair = readonly [string, string];

const pairColumns: readonly HtmlColumn<Pair>[] = [
  { title: "what", cell: ([name]) => name },
  { title: "is", cell: ([, value]) => value, isCode: true },
];

/** What was learnt from. */
export function dataSection({ data }: ScenarioSummary): string {
  const pairs: Pair[] = [
    ["data set", data.name],
    ["source", data.source],
    ["licence", data.licence],
    ["examples", String(data.examples)],
    ["SHA-256", data.sha256],
  ];
  return `<h2>Data</h2>\n${htmlTable("The data set", pairColumns, pairs)}`;
}

/** With what it was computed. */
export function versionsSection({ versions, engine, model, workers }: ScenarioSummary): string {
  const pairs: Pair[] = [
    ...Object.entries(versions),
    ["engine", `${engine.name}: ${engine.fingerprint}`],
    ["model hash", model.hash],
    ["workers", String(workers)],
  ];
  return `<h2>Versions</h2>\n${htmlTable("Versions of what computed this", pairColumns, pairs)}`;
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

/** What became of each run. */
export function runsSection({ runs }: ScenarioSummary): string {
  const note =
    "The same scenario and seed give the same hash of the last global adapter, at any number of workers with the same engine.";
  return `<h2>Runs</h2>\n<p class="note">${note}</p>\n${htmlTable("Each variant with each seed", runColumns, runs)}`;
}
