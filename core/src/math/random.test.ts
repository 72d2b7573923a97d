import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RandomStream, deriveKey, randomKey, threefry } from "./random.js";

const vectors = JSON.parse(
  readFileSync(new URL("../../../testdata/core/random/vectors.json", import.meta.url), "utf8"),
) as {
  seed: number;
  derived: { labels: (string | number)[]; key: [number, number] }[];
  words: number[];
  uniforms: number[];
  integers: number[];
  normals: number[];
  shuffled: number[];
};
const stream = (): RandomStream => new RandomStream(randomKey(vectors.seed));
const times = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);

describe("the block function", () => {
  // Random123 1.09, kat_vectors, threefry2x32 20.
  test.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ] as const)("of key %j and counter %j", (key, counter, expected) => {
    expect(threefry(key, counter)).toEqual(expected);
  });
});

describe("the written vectors of another implementation", () => {
  test("for keys and bits are met exactly", () => {
    const integers = stream();
    const bounds = [1, 2, 10, 2 ** 32, ...new Array<number>(12).fill(3 * 2 ** 30)];

    expect(vectors.derived.map(({ labels }) => deriveKey(randomKey(42), ...labels))).toEqual(
      vectors.derived.map(({ key }) => key),
    );
    const words = stream();
    expect(times(5, () => words.uint32())).toEqual(vectors.words);
    expect(bounds.map((n) => integers.integer(n))).toEqual(vectors.integers);
    expect(stream().shuffle(Array.from({ length: 12 }, (_, i) => i))).toEqual(vectors.shuffled);
  });

  test("for floats are met, the normals to the last bits since the logarithm is our own", () => {
    const uniforms = stream();
    const normals = stream();

    expect(times(5, () => uniforms.uniform())).toEqual(vectors.uniforms);
    times(9, () => normals.normal()).forEach((value, i) => {
      expect(Math.abs(value / vectors.normals[i]! - 1)).toBeLessThan(1e-14);
    });
  });
});

describe("distributions", () => {
  const count = 200_000;
  const mean = (values: Float32Array, f: (x: number) => number): number =>
    values.reduce((sum, value) => sum + f(value), 0) / values.length;

  test.each([0.3, 2.5])("normals of standard deviation %d have its moments within 4 standard errors", (std) => {
    const values = stream().normals(count, std);

    expect(Math.abs(mean(values, (x) => x))).toBeLessThan((4 * std) / Math.sqrt(count));
    expect(Math.abs(mean(values, (x) => (x / std) ** 2) - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
    expect(Math.abs(mean(values, (x) => (x / std) ** 4) - 3)).toBeLessThan(4 * Math.sqrt(96 / count));
  });

  test("uniforms stay in their bounds and have their moments", () => {
    const values = stream().uniforms(count, -2, 3);

    expect(values.every((x) => x >= -2 && x <= 3)).toBe(true);
    expect(Math.abs(mean(values, (x) => x) - 0.5)).toBeLessThan((4 * 5) / Math.sqrt(12 * count));
    expect(Math.abs(mean(values, (x) => (x - 0.5) ** 2) - 25 / 12)).toBeLessThan((4 * 25) / Math.sqrt(180 * count));
  });

  test("each of the six orders of three items comes up alike", () => {
    const random = stream();
    const orders = new Map<string, number>();
    for (let i = 0; i < 6000; i += 1) {
      const order = random.shuffle(["a", "b", "c"]).join("");
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }

    expect(orders.size).toBe(6);
    const chiSquare = [...orders.values()].reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(20.5); // 5 degrees of freedom, p = 0.001
  });
});

describe("keys", () => {
  test("of different labels, or the same labels in another order, differ; equal ones agree", () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.string()), fc.array(fc.string()), (seed, a, b) => {
        const [first, second] = [deriveKey(randomKey(seed), ...a), deriveKey(randomKey(seed), ...b)];

        expect(first.join() === second.join()).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });

  test("a shuffle is a permutation", () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.nat()), (seed, items) => {
        const shuffled = new RandomStream(randomKey(seed)).shuffle([...items]);

        expect(shuffled.sort((a, b) => a - b)).toEqual([...items].sort((a, b) => a - b));
      }),
    );
  });
});
