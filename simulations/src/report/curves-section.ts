import type { RoundRow, RunResult } from "../run/round-row.js";
import { chartFigure, chartLegend } from "./chart.js";
import { curvesOf, type CurveAxis } from "./curves.js";
import { numberOf } from "./run-metrics.js";

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

/** Every measurement that changes from round to round; empty where none was taken twice. */
export async function curvesSection(runs: readonly RunResult[]): Promise<string> {
  const variants = [...new Set(runs.map(({ variant }) => variant))];
  const figures: string[] = [];
  for (const { title, label, of, axes } of measurements) {
    for (const axis of axes) {
      const points = curvesOf(runs, axis, of);
      // A single point is in the table already.
      if (points.length <= new Set(points.map(({ variant }) => variant)).size) continue;
      const against = axis === "rounds" ? title : `${title} against ${axis}`;
      figures.push(await chartFigure(against, points, { x: axisLabels[axis], y: label, variants }));
    }
  }
  if (figures.length === 0) return "";
  const legend = variants.length < 2 ? "" : chartLegend(variants);
  const note = "Bands are one standard deviation over the seeds.";
  return `<h2>Curves</h2>\n<p class="note">${note}</p>${legend}\n<div class="charts">${figures.join("\n")}</div>`;
}
