import { describe, expect, test } from "vitest";
import { dense, norm, plus, times } from "../testing/dense.js";
import { meanProduct, numbers, productRound, randomClients, relativeDifference } from "../testing/product-round.js";
import type { FactorClient, ProductRun } from "../testing/product-round.js";

const sizes = { dOut: 6, rank: 3, dIn: 5, scaling: 2 };
const run: ProductRun = { method: "lora-lego", ...sizes };

interface Unit {
  readonly a: readonly number[];
  readonly b: readonly number[];
}
const unit = (seed: number, size = 1): Unit => ({
  a: [...numbers(5, seed)].map((x) => Math.fround(size * x)),
  b: [...numbers(6, seed + 50)].map((x) => Math.fround(size * x)),
});
const clientOf = (weight: number, units: readonly Unit[]): FactorClient => ({
  weight,
  rank: units.length,
  a: units.flatMap(({ a }) => a),
  b: Array.from({ length: 6 }, (_, i) => units.map(({ b }) => b[i]!)).flat(),
});
const length = (x: readonly number[]): number => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

describe("units", () => {
  const units = [unit(1), unit(2), unit(3)];
  const [first, second, third] = units as [Unit, Unit, Unit];

  test("in another order are the same adapter, where the mean of the factors mixes them", () => {
    const clients = [clientOf(1, units), clientOf(2, [third, first, second]), clientOf(4, [second, third, first])];
    const expected = meanProduct(run, clients);
    expect(relativeDifference(productRound(run, clients).weight, expected)).toBeLessThan(1e-6);
    expect(relativeDifference(productRound({ ...run, method: "fedavg" }, clients).weight, expected)).toBeGreaterThan(
      0.05,
    );
  });

  test("of smaller clients join those of larger ones", () => {
    const clients = [clientOf(1, units), clientOf(3, [second])];
    const expected = meanProduct(run, clients);
    expect(relativeDifference(productRound(run, clients).weight, expected)).toBeLessThan(1e-6);
  });

  test("stand in descending order of their norms", () => {
    const { a } = productRound(run, [clientOf(1, [unit(1, 0.5), unit(2, 2), unit(3, 1)])]);
    expect([...a.slice(0, 5)]).toEqual(unit(2, 2).a);
    expect([...a.slice(10)]).toEqual(unit(1, 0.5).a);
  });

  test("that are fewer than the ranks leave rows of A to be trained, with a zero column of B", () => {
    const global = { a: numbers(15, 9), b: new Float32Array(18) };
    const still = { weight: 1, rank: 1, a: new Float32Array(5), b: numbers(6, 4) };
    const { a, b } = productRound({ ...run, global }, [still, { ...still, weight: 3 }]);
    expect([...a.slice(5)]).toEqual([...global.a.slice(5)]);
    for (let i = 0; i < 6; i++) expect([b[i * 3 + 1], b[i * 3 + 2]]).toEqual([0, 0]);
  });
});

describe("centroids", () => {
  /** Two clusters, far apart; the members of each lie near each other and differ in scale and direction. */
  const near = ({ a, b }: Unit, seed: number): Unit => ({
    a: a.map((x, i) => Math.fround(x + 0.1 * numbers(5, seed)[i]!)),
    b: b.map((x, i) => Math.fround(x + 0.1 * numbers(6, seed + 7)[i]!)),
  });
  const [one, other] = [unit(11, 3), unit(12, 3)];
  const members = [
    { weight: 1, units: [near(one, 21), near(other, 22)] },
    { weight: 3, units: [near(other, 23), near(one, 24)] },
  ] as const;
  const two: ProductRun = { ...run, rank: 2 };

  test("are weighted means, scaled so that their norm is the weighted sum of their units' norms", () => {
    const { weight } = productRound(
      two,
      members.map((member) => clientOf(member.weight, member.units)),
    );
    const merged = ([x, y]: readonly [Unit, Unit]): ReturnType<typeof dense> => {
      const mean = (p: readonly number[], q: readonly number[]): number[] =>
        p.map((value, i) => 0.25 * value + 0.75 * q[i]!);
      const centre = { a: mean(x.a, y.a), b: mean(x.b, y.b) };
      const wanted = 0.25 * length(x.a) * length(x.b) + 0.75 * length(y.a) * length(y.b);
      const factor = wanted / (length(centre.a) * length(centre.b));
      return dense(6, 5, (i, j) => 2 * factor * centre.b[i]! * centre.a[j]!);
    };
    const [light, heavy] = members;
    const expected = plus(merged([light.units[0], heavy.units[1]]), merged([light.units[1], heavy.units[0]]));
    expect(relativeDifference(weight, expected)).toBeLessThan(1e-6);
  });

  test("keep the norm that averages of opposite directions lose", () => {
    const opposite = [unit(1), { a: unit(1).a.map((x) => -0.9 * x), b: unit(1).b }];
    const clients = opposite.map((own) => clientOf(1, [own]));
    const { weight } = productRound({ ...run, rank: 1 }, clients);
    const sizesOf = opposite.map(({ a, b }) => 2 * length(a) * length(b));
    expect(norm(weight)).toBeCloseTo((sizesOf[0]! + sizesOf[1]!) / 2, 4);
  });
});

describe("clustering", () => {
  const clients = randomClients(sizes, 7, (k) => 1 + (k % 3));

  test("depends on the seed and the round alone", () => {
    const merge = (seed: number, round: number): number[] => [
      ...productRound({ ...run, spec: { training: { seed } } }, clients, { round }).b,
    ];
    expect(merge(3, 2)).toEqual(merge(3, 2));
    const others = [merge(4, 2), merge(5, 2), merge(3, 3), merge(3, 4)];
    expect(others.some((b) => String(b) !== String(merge(3, 2)))).toBe(true);
  });

  test("does not keep an output where no unit has one", () => {
    const zero = clients.map((client) => ({ ...client, b: new Float32Array(client.b.length) }));
    const { a, weight } = productRound(run, zero);
    expect(norm(weight)).toBe(0);
    for (let q = 0; q < 3; q++) expect(length([...a.slice(5 * q, 5 * q + 5)])).toBeGreaterThan(0);
  });

  test("keeps the scale of the mean client", () => {
    const { weight } = productRound(run, clients);
    const mean = meanProduct(run, clients);
    expect(norm(weight) / norm(mean)).toBeGreaterThan(0.5);
    expect(norm(weight) / norm(mean)).toBeLessThan(4);
    expect(norm(plus(weight, times(-1, mean)))).toBeGreaterThan(0);
  });
});
