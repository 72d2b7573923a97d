import { squaredDistance } from "./robust-geometry.js";
import type { Geometry, GramMatrix } from "./robust-geometry.js";

/** Shares of points in a result: point 0 is the global adapter; they add up to 1. */
export type Shares = Float64Array;

/** Factors of so much larger norm than their product leave nothing of its digits in float64. */
const maxCancellation = 2 ** 30;

/**
 * Which updates can be compared: all but those whose factors cancel each other so far that their inner products are noise.
 * Training makes no such factors; they could be made to look near to anything. Indices of points, ascending.
 */
export function comparable({ ids, products, factorNorms }: Geometry): readonly number[] {
  const usual = median(factorNorms.subarray(1));
  return ids.flatMap((_, k) => {
    const point = k + 1;
    const own = products.values[point * products.size + point] ?? 0;
    return (factorNorms[point] ?? 0) > maxCancellation * Math.max(own, usual) ? [] : [point];
  });
}

/**
 * Krum's score of each candidate: the sum of its squared distances to the n - f - 2 nearest others (at least one), over the
 * products and the heads together.
 *
 * Paper: Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", 2017.
 *
 * @param candidates indices of points
 */
export function krumScores(
  { products, heads }: Pick<Geometry, "products" | "heads">,
  candidates: readonly number[],
  faulty: number,
): Float64Array {
  const neighbours = neighboursOf(candidates.length, faulty);
  const distances = new Float64Array(Math.max(0, candidates.length - 1));
  return Float64Array.from(candidates, (point) => {
    let count = 0;
    for (const other of candidates) {
      if (other !== point)
        distances[count++] = squaredDistance(products, point, other) + squaredDistance(heads, point, other);
    }
    return distances
      .sort()
      .subarray(0, neighbours)
      .reduce((sum, distance) => sum + distance, 0);
  });
}

const neighboursOf = (candidates: number, faulty: number): number => Math.max(1, candidates - faulty - 2);

/** The `count` candidates with the smallest scores; of equal ones the first. Ascending. */
export function smallest(candidates: readonly number[], scores: Float64Array, count: number): readonly number[] {
  return candidates
    .map((point, k) => ({ point, score: scores[k] ?? 0 }))
    .sort((x, y) => x.score - y.score || x.point - y.point)
    .slice(0, count)
    .map(({ point }) => point)
    .sort((x, y) => x - y);
}

/** Bulyan's choice: `count` times the point that Krum picks among those that are left. Ascending. */
export function repeatedKrum(
  geometry: Pick<Geometry, "products" | "heads">,
  candidates: readonly number[],
  faulty: number,
  count: number,
): readonly number[] {
  const lists = candidates.map((point) => nearestFirst(geometry, candidates, point));
  const isLeft = new Uint8Array(candidates.length).fill(1);
  const chosen: number[] = [];
  while (chosen.length < Math.min(count, candidates.length)) {
    const neighbours = neighboursOf(candidates.length - chosen.length, faulty);
    let best = -1;
    let least = Infinity;
    lists.forEach((list, k) => {
      if (isLeft[k] === 0) return;
      const score = scoreOf(list, isLeft, neighbours);
      // The first one even where all are infinite.
      if (score < least || best < 0) [best, least] = [k, score];
    });
    isLeft[best] = 0;
    chosen.push(candidates[best] ?? 0);
  }
  return chosen.sort((x, y) => x - y);
}

/** The other candidates, as places in the list of all, with their squared distances, ascending. */
interface Neighbours {
  readonly places: Int32Array;
  readonly distances: Float64Array;
}

function nearestFirst(
  { products, heads }: Pick<Geometry, "products" | "heads">,
  candidates: readonly number[],
  point: number,
): Neighbours {
  const all = Float64Array.from(
    candidates,
    (other) => squaredDistance(products, point, other) + squaredDistance(heads, point, other),
  );
  const places = Int32Array.from(candidates.keys()).filter((place) => candidates[place] !== point);
  places.sort((x, y) => (all[x] ?? 0) - (all[y] ?? 0));
  return { places, distances: Float64Array.from(places, (place) => all[place] ?? 0) };
}

/** `krumScores` among those that are left. */
function scoreOf({ places, distances }: Neighbours, isLeft: Uint8Array, neighbours: number): number {
  let sum = 0;
  for (let i = 0, taken = 0; i < places.length && taken < neighbours; i++) {
    if (isLeft[places[i] ?? 0] === 0) continue;
    sum += distances[i] ?? 0;
    taken += 1;
  }
  return sum;
}

/** The weighted mean of some points. */
export function meanShares({ weights }: Pick<Geometry, "weights">, points: readonly number[]): Shares {
  const shares = new Float64Array(weights.length + 1);
  const total = points.reduce((sum, point) => sum + (weights[point - 1] ?? 0), 0);
  for (const point of points) shares[point] = (weights[point - 1] ?? 0) / total;
  return shares;
}

/** The weighted mean of the points, each moved towards the global adapter until it is no further away than `bound`. */
export function boundedShares(gram: GramMatrix, means: Shares, bound: number): Shares {
  const shares = means.map((share, point) => share * clip(Math.sqrt(squaredDistance(gram, point, 0)), bound));
  return withRest(shares);
}

/**
 * Centred clipping: v starts at the global adapter, and every iteration adds the weighted mean of (x_k - v), each clipped to
 * the norm `bound`. v stays a combination of the points, so only inner products are needed.
 *
 * Paper: Karimireddy, He, Jaggi, "Learning from History for Byzantine Robust Optimization", 2021.
 */
export function centredShares(gram: GramMatrix, means: Shares, bound: number, iterations: number): Shares {
  let v: Shares = withRest(new Float64Array(means.length));
  for (let i = 0; i < iterations; i++) {
    const distances = distancesTo(gram, v);
    const steps = means.map((share, point) => (point === 0 ? 0 : share * clip(distances[point] ?? 0, bound)));
    const kept = 1 - steps.reduce((sum, step) => sum + step, 0);
    v = v.map((share, point) => kept * share + (steps[point] ?? 0));
  }
  return v;
}

/**
 * The bound where none is given: the lower median of the points' distances to the global adapter, whatever their weights.
 * While no more than half of the updates are hostile it is at most an honest update's norm, however large theirs are;
 * theirs can make it small, which slows a run and moves it nowhere.
 */
export function usualNorm(gram: GramMatrix, points: readonly number[]): number {
  const norms = Float64Array.from(points, (point) => Math.sqrt(squaredDistance(gram, point, 0))).sort();
  return norms[Math.ceil(norms.length / 2) - 1] ?? 0;
}

/** Whether a point is further from the global adapter than `bound`. */
export function isBeyond(gram: GramMatrix, point: number, bound: number): boolean {
  return Math.sqrt(squaredDistance(gram, point, 0)) > bound;
}

/** Factor that brings a norm to at most `bound`; a vector of zeros stays. */
export function clip(norm: number, bound: number): number {
  return norm <= bound ? 1 : bound / norm;
}

/** Distance of each point to the combination of all: sqrt((e_k - v)^T G (e_k - v)). */
function distancesTo({ size, values }: GramMatrix, v: Shares): Float64Array {
  // Relative to the global adapter nothing large cancels: G_ij - G_i0 - G_0j + G_00.
  const at = (i: number, j: number): number =>
    (values[i * size + j] ?? 0) - (values[i * size] ?? 0) - (values[j] ?? 0) + (values[0] ?? 0);
  const product = Float64Array.from(v, (_, i) => v.reduce((sum, share, j) => sum + share * at(i, j), 0));
  const square = v.reduce((sum, share, i) => sum + share * (product[i] ?? 0), 0);
  return Float64Array.from(v, (_, i) => Math.sqrt(Math.max(0, at(i, i) - 2 * (product[i] ?? 0) + square)));
}

/** Gives the global adapter what is left to 1. */
function withRest(shares: Shares): Shares {
  const out = shares.slice();
  out[0] = 1 - out.subarray(1).reduce((sum, share) => sum + share, 0);
  return out;
}

/** Mean of the two middle values where there is an even number; 0 of nothing. */
export function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}
