import { formatTable } from "@fedlora/core";
import { aggregateBench } from "./aggregate/aggregate-bench.js";
import type { Bar, Bench, BenchReport } from "./bench.js";
import { depthBench } from "./depth/depth-bench.js";
import { dpBench } from "./dp/dp-bench.js";
import { intakeBench } from "./intake/intake-bench.js";
import { simulateBench } from "./simulate/simulate-bench.js";
import { spamBench } from "./spam/spam-bench.js";
import { trainStepBench } from "./train-step/train-step-bench.js";

const benches: readonly Bench[] = [
  trainStepBench,
  depthBench,
  intakeBench,
  aggregateBench,
  dpBench,
  simulateBench,
  spamBench,
];

const [name, ...flags] = process.argv.slice(2).filter((argument) => argument !== "--");
const unknown = [name, ...flags].filter(
  (word) => word?.startsWith("--") === true && !["--json", "--quick"].includes(word),
);
const selected = name === undefined || name.startsWith("--") ? benches : benches.filter((bench) => bench.name === name);
if (selected.length === 0 || unknown.length > 0) {
  process.stderr.write(
    `usage: npm run bench -- [${benches.map((bench) => bench.name).join(" | ")}] [--json] [--quick]\n`,
  );
  process.exit(2);
}

const words = process.argv.slice(2);
const json = words.includes("--json");
for (const bench of selected) {
  const report = await bench.run({ json, quick: words.includes("--quick") });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${describe(report)}\n`);
}

function describe({ bench, machine, results, bars }: BenchReport): string {
  const where = `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Node ${machine.node}`;
  return [`\n${bench} (${where})`, table(results), ...bars.map(describeBar)].join("\n");
}

function describeBar({ name, value, bound, ok }: Bar): string {
  return `${ok ? "ok  " : "MISS"} ${name}: ${shown(value)} (bar ${shown(bound)})`;
}

function table(rows: BenchReport["results"]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const isNumeric = (column: string): boolean => rows.some((row) => typeof row[column] === "number");
  const cells = rows.map((row) => columns.map((column) => shown(row[column])));
  return formatTable(columns, cells, { align: columns.map((column) => (isNumeric(column) ? "right" : "left")) });
}

function shown(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(4);
  return value === undefined || value === null ? "-" : typeof value === "string" ? value : JSON.stringify(value);
}
