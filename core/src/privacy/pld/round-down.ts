import type { LatticeMasses } from "./lattice-masses.js";

/**
 * The lower side of a discretised loss. Each interval counts as one outcome, of a loss between its ends; all outcomes are
 * then brought to lattice points (first + i) step + offset without any of them gaining. An outcome above its point is
 * rounded down. One below it takes in that share of the next outcome which lifts it there exactly: telling two outcomes
 * apart less often is post-processing, so hockey-stick divergences only fall. Where the next outcome does not suffice,
 * the outcome is rounded down by a step. Several offsets are tried, and that which keeps the largest mean loss is taken.
 *
 * @param low mass of interval i at its lower end, (first + i) step, as the upper side has it
 * @param high mass at its upper end
 */
export function roundDown(low: Float64Array, high: Float64Array, first: number, step: number): LatticeMasses {
  const count = low.length;
  const masses = new Float64Array(count);
  // exp of minus the outcome's loss above the lower end of its interval: Q-mass over P-mass there.
  const ratios = new Float64Array(count);
  let heaviest = 0;
  for (let i = 0; i < count; i += 1) {
    const mass = (low[i] ?? 0) + (high[i] ?? 0);
    masses[i] = mass;
    ratios[i] = mass > 0 ? 1 + ((high[i] ?? 0) / mass) * Math.expm1(-step) : 1;
    if (mass > (masses[heaviest] ?? 0)) heaviest = i;
  }
  let offset = -Math.log(ratios[heaviest] ?? 1);
  let rounded = bringTo(offset, masses, ratios, step);
  for (const other of [0.5, 0.51, 0.55, 0.65].map((share) => share * step)) {
    const option = bringTo(other, masses, ratios, step);
    if (meanLoss(option, other, step) > meanLoss(rounded, offset, step)) [offset, rounded] = [other, option];
  }
  // Entry 0 is one step below the first interval.
  return { masses: rounded, first: first - 1, offset };
}

/** Above the first entry's interval; of masses that add up to 1. */
function meanLoss(masses: Float64Array, offset: number, step: number): number {
  return offset + step * masses.reduce((sum, mass, i) => sum + mass * i, 0);
}

function bringTo(offset: number, masses: Float64Array, ratios: Float64Array, step: number): Float64Array {
  const rounded = new Float64Array(masses.length + 1);
  const lift = Math.exp(offset);
  const fall = Math.exp(-step);
  let kept = 1;
  for (let i = 0; i < masses.length; i += 1) {
    const mass = kept * (masses[i] ?? 0);
    kept = 1;
    const missing = lift * (ratios[i] ?? 0) - 1;
    if (missing <= 0) {
      rounded[i + 1] = mass;
      continue;
    }
    const offered = (masses[i + 1] ?? 0) * (1 - lift * fall * (ratios[i + 1] ?? 1));
    const share = (mass * missing) / offered;
    if (share <= 1) {
      rounded[i + 1] = mass + share * (masses[i + 1] ?? 0);
      kept = 1 - share;
    } else rounded[i] = (rounded[i] ?? 0) + mass;
  }
  return rounded;
}
