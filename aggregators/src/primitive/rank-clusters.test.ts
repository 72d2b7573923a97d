import { randomKey, RandomStream } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { columnMatrix, gram } from "../linalg/column-matrix.js";
import { clusterPoints } from "./rank-clusters.js";

const cluster = (
  points: readonly (readonly number[])[],
  weights: readonly number[],
  clusters: number,
  seed = 1,
): number[][] =>
  clusterPoints(
    gram(columnMatrix(points[0]!.length, points.length, Float64Array.from(points.flat()))),
    Float64Array.from(weights),
    { clusters, iterations: 50, stream: new RandomStream(randomKey(seed)) },
  );
const sorted = (clusters: number[][]): number[][] => clusters.toSorted(([x], [y]) => x! - y!);

describe("clusters of points known by their inner products", () => {
  test("are the groups that lie apart, whatever the seed", () => {
    const points = [
      [0, 10],
      [10, 0],
      [0, 11],
      [-9, -9],
      [11, 0],
      [0, 10.5],
    ];
    for (let seed = 0; seed < 10; seed++) {
      expect(sorted(cluster(points, [1, 2, 3, 4, 5, 6], 3, seed))).toEqual([[0, 2, 5], [1, 4], [3]]);
    }
  });

  test("weigh their points: a heavy one draws the centroid, and with it those between", () => {
    // Of two clusters on a line the border lies half way between the weighted means, not between the middles.
    const line = [[5], [15], [16]];
    const light = [2, 5, 8, 11].map((seed) => sorted(cluster([...line, [11]], [1, 1, 1, 1], 2, seed)));
    const heavy = [2, 5, 8, 11].map((seed) => sorted(cluster([...line, [11]], [1000, 1, 1, 1], 2, seed)));
    for (const clusters of [...light, ...heavy]) expect(clusters).toHaveLength(2);
    for (const clusters of heavy) expect(clusters).toEqual([[0], [1, 2, 3]]);
  });

  test("have weighted means as centroids, whatever the seed", () => {
    for (let seed = 0; seed < 10; seed++) {
      expect(sorted(cluster([[100], [106], [112], [120]], [9, 1, 1, 9], 2, seed))).toEqual([
        [0, 1],
        [2, 3],
      ]);
    }
  });

  test("are one for each point where there are no more points than clusters", () => {
    expect(sorted(cluster([[1], [2], [4]], [1, 1, 1], 5))).toEqual([[0], [1], [2]]);
  });

  test("do not split copies, nor what only rounding tells from a copy", () => {
    const near = columnMatrix(2, 2, Float64Array.of(1, 1 - 2 ** -50, 1 - 2 ** -50, 1));
    const stream = new RandomStream(randomKey(1));
    expect(clusterPoints(near, Float64Array.of(1, 1), { clusters: 2, iterations: 5, stream })).toEqual([[0, 1]]);
    expect(cluster([[3], [3], [3]], [1, 2, 3], 3)).toEqual([[0, 1, 2]]);
  });
});
