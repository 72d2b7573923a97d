import { View, parse } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { CurvePoint } from "./curves.js";
import { escaped } from "./html.js";

export interface ChartOptions {
  /** Of the x axis and of the y axis, with units. */
  readonly x: string;
  readonly y: string;
  /** Names of the variants in the order of their colours, the same in every chart. */
  readonly variants: readonly string[];
}

/** Distinct for colour-blind readers, and dark enough for print (Okabe and Ito 2008, without yellow, the light ones darker). */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#3a93cf", "#b37700", "#000000", "#7f7f7f"];
/** For print without colours. */
const dashes = [
  [1, 0],
  [6, 3],
  [2, 2],
  [8, 2, 2, 2],
  [4, 4],
  [10, 4],
  [1, 3],
  [6, 2, 1, 2],
];

/** How the line of the i-th variant looks in every chart. */
function styleOf(index: number): { readonly colour: string; readonly dash: readonly number[] } {
  // Once the colours are used up, each comes back with another dash.
  const turn = index + Math.floor(index / colours.length);
  return { colour: colours[index % colours.length] ?? "#000000", dash: dashes[turn % dashes.length] ?? [1, 0] };
}

/** The variants with their lines, for all charts of a page. */
export function chartLegend(variants: readonly string[]): string {
  const entries = variants.map((variant, index) => {
    const { colour, dash } = styleOf(index);
    const line = `<line x1="1" y1="6" x2="39" y2="6" stroke="${colour}" stroke-width="3" stroke-dasharray="${dash.join(" ")}"/>`;
    return `<li><svg viewBox="0 0 40 12" width="40" height="12" aria-hidden="true">${line}</svg>${escaped(variant)}</li>`;
  });
  return `<ul class="legend">${entries.join("")}</ul>`;
}

/** A chart with its caption, and in words for those who do not see it. */
export async function chartFigure(
  title: string,
  points: readonly CurvePoint[],
  options: ChartOptions,
): Promise<string> {
  const svg = await lineChart(points, options);
  const ends = options.variants.flatMap((variant) => {
    const last = points.findLast((point) => point.variant === variant);
    return last === undefined ? [] : `${variant} ${rounded(last.mean)} at ${rounded(last.x)}`;
  });
  const words = `<title>${escaped(title)}</title><desc>${escaped(`${options.y} over ${options.x}. Last: ${ends.join("; ")}.`)}</desc>`;
  const named = svg.replace(/<svg[^>]*>/, (open) => `${open.slice(0, -1)} role="img">${words}`);
  return `<figure><figcaption>${escaped(title)}</figcaption>${named}</figure>`;
}

const rounded = (value: number): string => String(Number(value.toPrecision(4)));

/** A line chart as SVG, drawn without a browser: a line per variant, its band one standard deviation over the seeds. */
async function lineChart(points: readonly CurvePoint[], { x, y, variants }: ChartOptions): Promise<string> {
  const domain = [...variants];
  const range = domain.map((_, index) => styleOf(index));
  // The page has one legend for all its charts.
  const variant = { field: "variant", type: "nominal" as const, legend: null };
  const color = { ...variant, scale: { domain, range: range.map(({ colour }) => colour) } };
  const strokeDash = { ...variant, scale: { domain, range: range.map(({ dash }) => [...dash]) } };
  const spec: TopLevelSpec = {
    width: 400,
    height: 230,
    background: "white",
    padding: 4,
    data: { values: points.map((point) => ({ ...point })) },
    encoding: { x: { field: "x", type: "quantitative", title: x, axis: { grid: false, tickCount: 6 } } },
    layer: [
      {
        // Many bands over one another would hide the lines.
        mark: { type: "area", opacity: Math.min(0.16, 0.7 / domain.length) },
        encoding: {
          y: { field: "low", type: "quantitative" },
          y2: { field: "high" },
          color,
        },
      },
      {
        mark: { type: "line", strokeWidth: 2, point: points.length < 16 * domain.length },
        encoding: {
          y: { field: "mean", type: "quantitative", title: y, scale: { zero: false }, axis: { tickCount: 6 } },
          color,
          strokeDash,
        },
      },
    ],
    config: {
      font: "system-ui, sans-serif",
      axis: { labelFontSize: 13, titleFontSize: 13, titleFontWeight: "normal", gridColor: "#e4e4e4" },
      view: { stroke: null },
    },
  };
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
