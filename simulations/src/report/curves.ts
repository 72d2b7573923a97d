import { noMethod, type RoundRow, type RunResult } from "../run/round-row.js";
import { spreadOf } from "./spread.js";

/** One point of a curve: the mean over the seeds, and how far one standard deviation reaches. */
export interface CurvePoint {
  readonly variant: string;
  readonly x: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** What a curve is drawn over; sums are of the rounds so far. */
export type CurveAxis = "rounds" | "virtual time" | "bytes";

/**
 * Curves of a measurement, one per variant. A point is a round in which a seed was measured; where seeds differ in x, the
 * point lies at their mean.
 */
export function curvesOf(
  runs: readonly RunResult[],
  axis: CurveAxis,
  measure: (row: RoundRow) => number | undefined,
): CurvePoint[] {
  const variants = [...new Set(runs.map(({ variant }) => variant))];
  const curves = variants.flatMap((variant) => {
    const own = runs.filter((run) => run.variant === variant).map(({ rounds }) => measured(rounds, axis, measure));
    const rounds = [...new Set(own.flatMap((points) => points.map(({ round }) => round)))].sort((a, b) => a - b);
    return rounds.flatMap((round) => {
      const here = own.flatMap((points) => points.find((point) => point.round === round) ?? []);
      const x = spreadOf(here.map((point) => point.x));
      const y = spreadOf(here.map((point) => point.y));
      if (x === undefined || y === undefined) return [];
      const reach = y.std ?? 0;
      return [{ variant, x: x.mean, mean: y.mean, low: Math.max(0, y.mean - reach), high: y.mean + reach }];
    });
  });
  // What there is without a federation is a line across.
  const references = new Set(runs.flatMap(({ variant, method }) => (method === noMethod ? variant : [])));
  const end = Math.max(...curves.map(({ x }) => x));
  return curves.flatMap((point) => (references.has(point.variant) ? [point, { ...point, x: end }] : point));
}

function measured(
  rows: readonly RoundRow[],
  axis: CurveAxis,
  measure: (row: RoundRow) => number | undefined,
): { readonly round: number; readonly x: number; readonly y: number }[] {
  let bytes = 0;
  return rows.flatMap((row) => {
    bytes += row.bytesUp + row.bytesDown;
    const y = measure(row);
    const x = axis === "rounds" ? row.round : axis === "bytes" ? bytes / 1e6 : row.endMs / 1000;
    return y === undefined || !Number.isFinite(y) ? [] : [{ round: row.round, x, y }];
  });
}
