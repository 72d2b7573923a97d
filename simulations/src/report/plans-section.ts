import type { RunResult } from "../run/round-row.js";
import { chartFigure, chartLegend } from "./chart.js";
import { depthIn, type ClassPlans } from "./class-plans.js";
import { curvesOf } from "./curves.js";
import { htmlTable, type HtmlColumn } from "./html.js";
import { shown } from "./spread.js";

interface PlanRow extends ClassPlans {
  readonly variant: string;
}

const columns: readonly HtmlColumn<PlanRow>[] = [
  { title: "variant", cell: ({ variant }) => variant },
  { title: "class", cell: ({ name }) => name },
  { title: "trainings", cell: ({ trainings }) => String(trainings), isNumber: true },
  { title: "layers", cell: ({ depth }) => shown(depth, 2), isNumber: true },
  { title: "least to most", cell: ({ minDepth, maxDepth }) => range(minDepth, maxDepth), isNumber: true },
  { title: "ranks", cell: ({ minRank, maxRank }) => range(minRank, maxRank), isNumber: true },
  { title: "sum of ranks", cell: ({ totalRank }) => shown(totalRank, 0), isNumber: true },
  { title: "waiting s", cell: ({ waitingSeconds }) => shown(waitingSeconds, 2), isNumber: true },
];

/** What each device class trained and how long it waited; empty where all classes are one and trained the same. */
export async function plansSection(
  variants: readonly { readonly variant: string; readonly classes: readonly ClassPlans[] }[],
  runs: readonly RunResult[],
): Promise<string> {
  const rows = variants.flatMap(({ variant, classes }) => classes.map((plans) => ({ variant, ...plans })));
  const names = [...new Set(rows.map(({ name }) => name))].sort();
  const isUniform = rows.every(
    ({ minRank, maxRank, minDepth, maxDepth }) => minRank === maxRank && minDepth === maxDepth,
  );
  if (names.length < 2 && isUniform) return "";
  const figures: string[] = [];
  for (const { variant, classes } of variants) {
    // Depths that never change are in the table already.
    if (new Set(classes.flatMap(({ minDepth, maxDepth }) => [minDepth, maxDepth])).size < 2) continue;
    const own = runs.filter((run) => run.variant === variant);
    const points = names.flatMap((name) =>
      curvesOf(own, "rounds", (row) => depthIn(row, name)).map((point) => ({ ...point, variant: name })),
    );
    const title = `Depth by device class: ${variant}`;
    const axes = { x: "rounds", y: "layers trained, from the output" };
    figures.push(await chartFigure(title, points, { ...axes, variants: names }));
  }
  const charts = figures.length === 0 ? "" : `${chartLegend(names)}\n<div class="charts">${figures.join("\n")}</div>`;
  const note =
    "Means over the trainings, with the standard deviation over the seeds; waiting is from a client's delivery to the round's last.";
  return `<h2>Rank plans by device class</h2>\n${htmlTable("What each device class trained, and how long it waited", columns, rows)}\n<p class="note">${note}</p>\n${charts}`;
}

const range = (least: number, most: number): string => (least === most ? String(least) : `${least} to ${most}`);
