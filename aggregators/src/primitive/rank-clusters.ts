import type { RandomStream } from "@fedlora/core";
import type { ColumnMatrix } from "../linalg/column-matrix.js";

export interface ClusterOptions {
  /** Wanted number of clusters; fewer come out where fewer units differ. */
  readonly clusters: number;
  /** Most rounds of assignment after the seeding. */
  readonly iterations: number;
  readonly stream: RandomStream;
}

/**
 * k-means over weighted points of which only the Gram matrix is known (Lloyd 1982, seeded by k-means++, Arthur and
 * Vassilvitskii 2007): || x_i - c ||^2 = G_ii - 2 sum_j w_j G_ij / W + sum_jl w_j w_l G_jl / W^2 over the cluster's points.
 * A point that is as near to two centroids goes to the one of the lower index; a cluster that empties stays empty.
 *
 * @param gram [n, n], inner products of the points
 * @param weights n numbers above 0
 * @returns the clusters' points, by ascending index; none is empty
 */
export function clusterPoints(gram: ColumnMatrix, weights: Float64Array, options: ClusterOptions): number[][] {
  let clusters = seedClusters(gram, weights, options).map((point) => [point]);
  for (let step = 0; step < options.iterations; step++) {
    const next = assign(gram, weights, clusters);
    if (sameClusters(next, clusters)) break;
    clusters = next;
  }
  return clusters;
}

/** k-means++: each further seed with a chance that is its weight times the squared distance to the nearest seed so far. */
function seedClusters(
  gram: ColumnMatrix,
  weights: Float64Array,
  { clusters, stream }: ClusterOptions,
): readonly number[] {
  const n = weights.length;
  const nearest = new Float64Array(n).fill(Infinity);
  const seeds = [draw(weights, stream)];
  // Below this, distances are what rounding leaves of zero: the point is a copy of a seed.
  const negligible = 2 ** -40;
  while (seeds.length < Math.min(clusters, n)) {
    const seed = seeds.at(-1) ?? 0;
    const chances = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const own = at(gram, i, i);
      const distance = own - 2 * at(gram, i, seed) + at(gram, seed, seed);
      nearest[i] = Math.min(nearest[i] ?? 0, distance);
      const isCopy = (nearest[i] ?? 0) <= negligible * (own + at(gram, seed, seed));
      chances[i] = isCopy ? 0 : (weights[i] ?? 0) * (nearest[i] ?? 0);
    }
    if (chances.every((chance) => chance === 0)) break;
    seeds.push(draw(chances, stream));
  }
  return seeds;
}

/** An index with a probability in proportion to its chance. */
function draw(chances: Float64Array, stream: RandomStream): number {
  const total = chances.reduce((sum, chance) => sum + chance, 0);
  let left = stream.uniform() * total;
  let last = 0;
  for (let i = 0; i < chances.length; i++) {
    const chance = chances[i] ?? 0;
    if (chance === 0) continue;
    last = i;
    left -= chance;
    if (left < 0) break;
  }
  return last;
}

function assign(gram: ColumnMatrix, weights: Float64Array, clusters: readonly number[][]): number[][] {
  const n = weights.length;
  const toCentroids = clusters.map((points) => {
    const total = points.reduce((sum, j) => sum + (weights[j] ?? 0), 0);
    const inner = Float64Array.from({ length: n }, (_, i) =>
      points.reduce((sum, j) => sum + (weights[j] ?? 0) * at(gram, i, j), 0),
    );
    const square = points.reduce((sum, j) => sum + (weights[j] ?? 0) * (inner[j] ?? 0), 0);
    return { inner: inner.map((value) => value / total), square: square / total ** 2 };
  });
  const next: number[][] = clusters.map(() => []);
  for (let i = 0; i < n; i++) {
    let best = 0;
    let least = Infinity;
    toCentroids.forEach(({ inner, square }, c) => {
      const distance = square - 2 * (inner[i] ?? 0);
      if (distance < least) {
        least = distance;
        best = c;
      }
    });
    next[best]?.push(i);
  }
  return next.filter((points) => points.length > 0);
}

const at = ({ rows, values }: ColumnMatrix, i: number, j: number): number => values[j * rows + i] ?? 0;

function sameClusters(x: readonly number[][], y: readonly number[][]): boolean {
  return (
    x.length === y.length &&
    x.every((points, c) => points.length === y[c]?.length && points.every((p, i) => p === y[c]?.[i]))
  );
}
