import { assertDelta, invalid, mergeEvents } from "./check-events.js";
import type { MergedEvents } from "./check-events.js";
import { orderGrid } from "./orders.js";
import type { OrderGrid } from "./orders.js";
import type { Accountant, PrivacyBound } from "./privacy-event.js";
import { subsampledGaussianRdp } from "./subsampled-gaussian-rdp.js";

export interface RdpOptions {
  /** A named grid or orders of one's own, ascending, each above 1; default "united". */
  readonly orders?: OrderGrid | readonly number[];
}

/** A Renyi bound turned into epsilon. */
export interface RdpConversion {
  /** Infinity where no order gives a finite one. */
  readonly epsilon: number;
  /** The order that gives it; NaN where none does. */
  readonly order: number;
  readonly warnings: readonly string[];
}

/**
 * Renyi accounting: divergences of a fixed grid of orders add up over events and give epsilon at the best order. Quick
 * and sound; looser than the PLD accountant, by far where a unit is rarely sampled.
 */
export function createRdpAccountant({ orders = "united" }: RdpOptions = {}): Accountant {
  const grid = typeof orders === "string" ? orderGrid(orders) : orders;
  if (grid.length === 0 || !grid.every((order, i) => order > (grid[i - 1] ?? 1) && Number.isFinite(order))) {
    throw invalid(`orders [${grid.join(", ")}] must ascend from above 1`);
  }
  return {
    name: "rdp",
    epsilon: (events, delta): PrivacyBound => {
      assertDelta(delta);
      const merged = mergeEvents(events);
      if (merged.unbounded.length > 0) return { epsilon: Number.POSITIVE_INFINITY, warnings: merged.unbounded };
      const { epsilon, warnings } = rdpToEpsilon(grid, composeRdp(grid, merged), delta);
      return { epsilon, warnings };
    },
  };
}

/** The divergence of all events together at each order. */
function composeRdp(orders: readonly number[], { sampled, gaussianPrecision }: MergedEvents): number[] {
  return orders.map((order) =>
    sampled.reduce(
      (sum, { samplingRate, noiseMultiplier, count }) =>
        sum + count * subsampledGaussianRdp(order, samplingRate, noiseMultiplier),
      (order * gaussianPrecision) / 2,
    ),
  );
}

/**
 * The least epsilon over the orders. Conversion: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential
 * Privacy" (2020), proposition 12; it is also theorem 21 of Balle et al. (2019). Epsilon is 0 only by that formula or
 * where the Bretagnolle-Huber inequality bounds the total variation by delta. An order whose divergence is NaN or
 * negative counts as infinite.
 *
 * @param divergences one for each order
 */
export function rdpToEpsilon(orders: readonly number[], divergences: readonly number[], delta: number): RdpConversion {
  const warnings: string[] = [];
  let epsilon = Number.POSITIVE_INFINITY;
  let best = Number.NaN;
  orders.forEach((order, i) => {
    const divergence = divergences[i] ?? Number.NaN;
    if (!(divergence >= 0)) {
      warnings.push(`the Renyi divergence of order ${order} came out as ${divergence}; the order is left out`);
      return;
    }
    const candidate = epsilonAt(order, divergence, delta);
    if (candidate < epsilon) [epsilon, best] = [candidate, order];
  });
  if (epsilon === Number.POSITIVE_INFINITY) warnings.push("no order gives a finite epsilon");
  else if (epsilon > 0 && (best === orders[0] || best === orders.at(-1))) {
    warnings.push(`the best order, ${best}, is at the edge of the grid; a wider one may give a smaller epsilon`);
  }
  return { epsilon, order: best, warnings };
}

function epsilonAt(order: number, divergence: number, delta: number): number {
  if (delta * delta + Math.expm1(-divergence) > 0) return 0;
  const epsilon = divergence + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1);
  return Math.max(0, epsilon);
}
