export interface RankProgression {
  /** Rank of the lowest layer; from 1. */
  readonly minRank: number;
  /** No layer gets more; from `minRank`. */
  readonly maxRank: number;
  /** What each layer gets more than the one below it; from 0. */
  readonly step: number;
  /** What the ranks add up to, from layers x minRank to layers x maxRank; absent: whatever the progression gives. */
  readonly total?: number | undefined;
}

/**
 * LEGEND's rank distribution: r_l = r_(l-1) + step from the input to the output, clipped to [minRank, maxRank], and scaled
 * to a total where one is given. It never falls towards the output.
 *
 * Scaling multiplies the progression by the one factor with which the clipped values add up to the total; what rounding
 * down leaves over goes to the largest fractions, of equal ones to the layers nearest to the output.
 *
 * @param numLayers adapted layers, at least 1
 * @returns the rank of each layer, from the input to the output
 */
export function rankDistribution(
  numLayers: number,
  { minRank, maxRank, step, total }: RankProgression,
): readonly number[] {
  const ranks = Array.from({ length: numLayers }, (_, layer) => Math.min(maxRank, minRank + layer * step));
  if (total === undefined || sum(ranks) === total) return ranks;
  const clip = (value: number): number => Math.min(maxRank, Math.max(minRank, value));
  // The sum grows with the factor; at `high` every rank is at its most.
  let low = 0;
  let high = maxRank / minRank;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (sum(ranks.map((rank) => clip(rank * middle))) < total) low = middle;
    else high = middle;
  }
  const scaled = ranks.map((rank) => clip(rank * high));
  // A value that is a whole number but for rounding has no fraction.
  const floors = scaled.map((value) => Math.floor(value + 1e-9));
  const byFraction = scaled
    .map((value, layer) => ({ layer, fraction: value - (floors[layer] ?? 0) }))
    .sort((a, b) => (Math.abs(a.fraction - b.fraction) > 1e-9 ? b.fraction - a.fraction : b.layer - a.layer));
  for (const { layer } of byFraction.slice(0, total - sum(floors))) floors[layer] = (floors[layer] ?? 0) + 1;
  return floors;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
