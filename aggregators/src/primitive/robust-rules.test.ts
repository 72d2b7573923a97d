import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { squaredDistance } from "./robust-geometry.js";
import type { Geometry, GramMatrix } from "./robust-geometry.js";
import {
  boundedShares,
  centredShares,
  clip,
  comparable,
  isBeyond,
  krumScores,
  meanShares,
  median,
  repeatedKrum,
  smallest,
  usualNorm,
} from "./robust-rules.js";

type Vector = readonly number[];

/** Inner products of the origin and some vectors. */
function gramOf(vectors: readonly Vector[]): GramMatrix {
  const points = [vectors[0]!.map(() => 0), ...vectors];
  const values = points.flatMap((x) => points.map((y) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)));
  return { size: points.length, values: Float64Array.from(values) };
}
const zeros = (size: number): GramMatrix => ({ size, values: new Float64Array(size * size) });
const geometryOf = (vectors: readonly Vector[], weights = vectors.map(() => 1)): Geometry => ({
  ids: vectors.map((_, k) => `u${k}`),
  weights,
  products: gramOf(vectors),
  heads: zeros(vectors.length + 1),
  factorNorms: new Float64Array(vectors.length + 1),
});
const pointsOf = (vectors: readonly unknown[]): number[] => vectors.map((_, k) => k + 1);
/** The combination that shares stand for; the global adapter is the origin. */
const combined = (vectors: readonly Vector[], shares: Float64Array): number[] =>
  vectors[0]!.map((_, i) => vectors.reduce((sum, vector, k) => sum + shares[k + 1]! * vector[i]!, 0));

const golden = [[0], [0.1], [0.25], [0.3], [10]];

describe("Krum", () => {
  const geometry = geometryOf(golden);
  const scores = krumScores(geometry, pointsOf(golden), 1);

  test("G32: scores by the squared distances to the nearest others, itself left out", () => {
    [0.0725, 0.0325, 0.025, 0.0425, 189.1525].forEach((score, k) => expect(scores[k]).toBeCloseTo(score, 9));
  });

  test("G32: picks the smallest score, Multi-Krum the mean of several", () => {
    expect(smallest(pointsOf(golden), scores, 1)).toEqual([3]);
    const three = smallest(pointsOf(golden), scores, 3);
    expect(combined(golden, meanShares(geometry, three))[0]).toBeCloseTo(0.2166666667, 9);
  });

  test("counts a duplicate as a neighbour at distance 0, and of equal scores takes the first", () => {
    const twins = [[1], [1], [1], [5], [9]];
    const equal = krumScores(geometryOf(twins), pointsOf(twins), 1);
    expect([...equal.subarray(0, 3)]).toEqual([0, 0, 0]);
    expect(smallest(pointsOf(twins), equal, 1)).toEqual([1]);
  });

  test("weights count in Multi-Krum's mean", () => {
    const weighted = geometryOf([[0], [4]], [1, 3]);
    expect(combined([[0], [4]], meanShares(weighted, [1, 2]))).toEqual([3]);
  });

  test("repeated, chooses theta updates and leaves the outlier", () => {
    // 0.25 first; of 0, 0.1, 0.3, 10 with one neighbour each, 0 (0.1 has the same score); of 0.1, 0.3, 10 then 0.1.
    expect(repeatedKrum(geometry, pointsOf(golden), 1, 3)).toEqual([1, 2, 3]);
  });

  test("never picks one of a colluding minority that lies far away, whatever its direction", () => {
    const near = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 });
    const rounds = fc.tuple(
      fc.array(near, { minLength: 5, maxLength: 8 }),
      fc.integer({ min: 1, max: 2 }),
      fc.double({ min: 50, max: 1e6, noNaN: true }),
      fc.nat(),
    );
    fc.assert(
      fc.property(rounds, ([honest, faulty, far, at]) => {
        fc.pre(honest.length + faulty >= 2 * faulty + 3);
        const hostile = Array.from({ length: faulty }, () => [far, far, -far]);
        const start = at % (honest.length + 1);
        const all = [...honest.slice(0, start), ...hostile, ...honest.slice(start)];
        const candidates = pointsOf(all);
        const isHostile = (point: number): boolean => all[point - 1]![0] === far;
        const many = all.length - 2 * faulty - 2;
        const picked = smallest(candidates, krumScores(geometryOf(all), candidates, faulty), many);
        expect(picked.some(isHostile)).toBe(false);
      }),
    );
  });
});

describe("clipping", () => {
  test("G33: has the golden values; a vector of zeros stays", () => {
    const shares = boundedShares(gramOf([[3, 4]]), Float64Array.of(0, 1), 1);
    combined([[3, 4]], shares).forEach((value, i) => expect(value).toBeCloseTo([0.6, 0.8][i]!, 12));
    expect([...shares]).toEqual([0.8, 0.2]);
    expect([...boundedShares(gramOf([[3, 4]]), Float64Array.of(0, 1), 5)]).toEqual([0, 1]);
    expect([...boundedShares(gramOf([[0, 0]]), Float64Array.of(0, 1), 1)]).toEqual([0, 1]);
    expect(clip(0, 1)).toBe(1);
    expect(isBeyond(gramOf([[3, 4]]), 1, 5)).toBe(false);
    expect(isBeyond(gramOf([[3, 4]]), 1, 4.9)).toBe(true);
  });

  test("one update moves the result by no more than its share of the bound", () => {
    const vector = fc.array(fc.double({ min: -1e8, max: 1e8, noNaN: true }), { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(fc.array(vector, { minLength: 1, maxLength: 6 }), vector, (others, hostile) => {
        const quiet = [...others, others[0]!.map(() => 0)];
        const loud = [...others, hostile];
        const share = 1 / loud.length;
        const means = Float64Array.of(0, ...loud.map(() => share));
        const [a, b] = [quiet, loud].map((all) => combined(all, boundedShares(gramOf(all), means, 2)));
        expect(Math.hypot(...a!.map((value, i) => value - b![i]!))).toBeLessThanOrEqual(2 * share * (1 + 1e-6));
      }),
    );
  });

  test("without a bound takes the lower median, which half of the updates cannot raise", () => {
    const normOf = (vectors: readonly (readonly number[])[]): number =>
      usualNorm(
        gramOf(vectors),
        vectors.map((_, k) => k + 1),
      );
    expect(normOf([[3, 4]])).toBe(5);
    expect(
      normOf([
        [1, 0],
        [0, 2],
        [3, 0],
      ]),
    ).toBe(2);
    expect(
      normOf([
        [1e9, 0],
        [0, 2],
        [0, -1e9],
        [1, 0],
      ]),
    ).toBe(2);
    expect(usualNorm(gramOf([[1, 0]]), [])).toBe(0);
  });

  test("centred, follows the definition", () => {
    const vectors = [
      [1, 0],
      [0, 3],
      [-20, 5],
    ];
    const means = Float64Array.of(0, 0.25, 0.25, 0.5);
    let v = [0, 0];
    for (let iteration = 1; iteration <= 4; iteration++) {
      const steps = vectors.map((x, k) => {
        const change = x.map((value, i) => value - v[i]!);
        const norm = Math.hypot(...change);
        return change.map((value) => means[k + 1]! * value * Math.min(1, 1.5 / norm));
      });
      v = v.map((value, i) => value + steps.reduce((sum, step) => sum + step[i]!, 0));
      const shares = centredShares(gramOf(vectors), means, 1.5, iteration);
      combined(vectors, shares).forEach((value, i) => expect(value).toBeCloseTo(v[i]!, 10));
      expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
    }
  });
});

describe("geometry", () => {
  test("has no negative distances, and none of a point to itself", () => {
    const gram = { size: 2, values: Float64Array.of(1, 1 + 2 ** -50, 1 + 2 ** -50, 1) };
    expect(squaredDistance(gram, 0, 1)).toBe(0);
    expect(squaredDistance(gram, 1, 1)).toBe(0);
  });

  test("leaves out updates whose factors cancel far beyond the digits of float64, and no others", () => {
    const geometry = geometryOf([[1], [1], [1], [0]]);
    const factorNorms = Float64Array.of(1, 1, 2 ** 10, 2 ** 40, 0);
    expect(comparable({ ...geometry, factorNorms })).toEqual([1, 2, 4]);
    expect(comparable({ ...geometry, factorNorms: new Float64Array(5) })).toEqual([1, 2, 3, 4]);
  });

  test("median", () => {
    expect(median(Float64Array.of(3, 1, 2))).toBe(2);
    expect(median(Float64Array.of(3, 1, 2, 10))).toBe(2.5);
    expect(median(new Float64Array(0))).toBe(0);
  });
});
