import { canonicalLayout, elementCount, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fedavg } from "../method/fedavg.js";
import type { UpdateView } from "../method.js";
import { aggregateInMemory, memoryUpdate, testSpec } from "../testing/memory.js";
import { clipFactor, floorFloat32, updateNorm } from "./clip-factor.js";
import { privateRelease } from "./private-release.js";
import type { Release, ReleaseTerms } from "./private-release.js";

const layout: TensorLayout = canonicalLayout([
  { name: "base_model.model.m.lora_A.weight", dtype: "F32", shape: [2, 3] },
  { name: "base_model.model.m.lora_B.weight", dtype: "F32", shape: [4, 2] },
]);
const size = layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
const key = Uint8Array.from({ length: 32 }, (_, i) => i);
const plain: ReleaseTerms = {
  layout,
  clipNorm: 1,
  noiseStd: 0,
  expected: 4,
  largestWeight: 1,
  key,
  countNoise: undefined,
};

function tensorsOf(values: ArrayLike<number>, of: TensorLayout = layout): StateDict {
  let at = 0;
  return toStateDict(
    of.map(({ name, shape }) => {
      const own = Float32Array.from({ length: elementCount(shape) }, () => values[at++] ?? 0);
      return [name, fromFloat32(own, shape)] as const;
    }),
  );
}
const updateOf = (id: string, values: ArrayLike<number>, weight = 1): UpdateView =>
  memoryUpdate(id, weight, tensorsOf(values));
const release = (terms: ReleaseTerms, updates: readonly UpdateView[]): Release =>
  privateRelease(terms, (visit) => updates.forEach(visit));
const valuesOf = ({ update }: Release, of: TensorLayout = layout): number[] =>
  of.flatMap(({ name }) => [...update.tensor(name)]);
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((value, i) => value - (b[i] ?? 0)));

const value = fc.float({ noNaN: true, min: -1000, max: 1000 });
const values = fc.array(value, { minLength: size, maxLength: size });

describe("clipping", () => {
  test("leaves what is within the norm, a zero update too, and scales the rest to it", () => {
    expect(clipFactor(5, 5.1, 2)).toBe(1);
    expect(clipFactor(0, 1, 2)).toBe(1);
    expect(clipFactor(5, 1, 2)).toBeCloseTo(0.2, 6);
    const clipped = valuesOf(release({ ...plain, expected: 1 }, [updateOf("a", [3, 4])]));
    expect(clipped[0]).toBeCloseTo(0.6, 6);
    expect(clipped[1]).toBeCloseTo(0.8, 6);
    expect(valuesOf(release(plain, [updateOf("a", [])]))).toEqual(new Array(size).fill(0));
  });

  test("holds its bound for real numbers", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 1e-6, max: 100, noNaN: true }), (all, clipNorm) => {
        const update = updateOf("a", all);
        const factor = clipFactor(updateNorm(update, layout), clipNorm, size);
        expect(Math.fround(factor)).toBe(factor);
        // (factor ||values||)^2 <= clipNorm^2 in integers: every term is a multiple of 2^-596, scaled to be whole.
        const whole = (x: number): bigint => BigInt(x * 2 ** 300);
        const squares = all.reduce((sum, x) => sum + whole(x * factor) ** 2n, 0n);
        expect(squares <= whole(clipNorm) ** 2n).toBe(true);
      }),
    );
  });

  test("rounds to float32 downwards", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-30, max: 1, noNaN: true }), (x) => {
        const floor = floorFloat32(x);
        expect(Math.fround(floor)).toBe(floor);
        expect(floor).toBeLessThanOrEqual(x);
        expect(floor).toBeGreaterThanOrEqual(x * (1 - 2 ** -23));
      }),
    );
  });
});

describe("one client, there or not", () => {
  test("moves the sum before the noise by at most the clip norm", () => {
    const weight = fc.integer({ min: 1, max: 50 });
    const clients = fc.array(fc.tuple(values, weight), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(clients, fc.float({ min: Math.fround(0.01), max: 10, noNaN: true }), (all, clipNorm) => {
        const updates = all.map(([own, w], i) => updateOf(`u.${i}`, own, w));
        // An expectation of 1: what is released is the sum, but for its rounding to float32.
        const terms = { ...plain, clipNorm, expected: 1, largestWeight: 50 };
        const moved = distance(valuesOf(release(terms, updates)), valuesOf(release(terms, updates.slice(1))));
        expect(moved).toBeLessThanOrEqual(clipNorm * (1 + 1e-5));
      }),
    );
  });

  test("moves it by the clip norm where its update is large and its weight the largest", () => {
    const many = Array.from({ length: size }, () => 1000);
    const moved = valuesOf(release({ ...plain, expected: 1, clipNorm: 2 }, [updateOf("a", many)]));
    expect(Math.hypot(...moved)).toBeCloseTo(2, 5);
  });

  test("counts with its share of the largest weight, after clipping", () => {
    const terms = { ...plain, expected: 1, largestWeight: 100 };
    expect(valuesOf(release(terms, [updateOf("a", [0.5], 25)]))[0]).toBe(0.125);
    expect(valuesOf(release(terms, [updateOf("a", [500], 25)]))[0]).toBeCloseTo(0.25, 6);
    expect(valuesOf(release(terms, [updateOf("a", [0.5], 100)]))[0]).toBe(0.5);
  });

  test("is refused where it weighs more than any client may", () => {
    expect(() => release({ ...plain, largestWeight: 10 }, [updateOf("a", [1], 11)])).toThrow(
      expect.objectContaining({ code: "update-weight" }),
    );
  });
});

describe("noise", () => {
  const wide: TensorLayout = canonicalLayout([
    { name: "base_model.model.m.lora_A.weight", dtype: "F32", shape: [100, 300] },
    { name: "base_model.model.m.lora_B.weight", dtype: "F32", shape: [300, 100] },
  ]);
  const zeros = (id: string, weight: number): UpdateView => memoryUpdate(id, weight, tensorsOf([], wide));

  test("on the mean has the variance of the sum's over the square of what is expected, however clients weigh", () => {
    const noisy = { ...plain, layout: wide, noiseStd: 1.5, expected: 8, largestWeight: 100 };
    // Weights of 1 to 100: a mean over their sum with noise for 1/m would be far off.
    const drawn = valuesOf(release(noisy, [zeros("a", 1), zeros("b", 100), zeros("c", 3)]), wide);
    const variance = drawn.reduce((sum, x) => sum + x * x, 0) / drawn.length;
    // 60,000 squares of normals: their mean has a relative deviation of sqrt(2 / 60000) = 0.0058; 5 of them are 0.029.
    expect(variance / (1.5 / 8) ** 2).toBeGreaterThan(1 - 0.029);
    expect(variance / (1.5 / 8) ** 2).toBeLessThan(1 + 0.029);
    const mean = drawn.reduce((sum, x) => sum + x, 0) / drawn.length;
    expect(Math.abs(mean)).toBeLessThan((5 * (1.5 / 8)) / Math.sqrt(drawn.length));
  });

  test("is another in every tensor and under every key, and the same again under the same", () => {
    const noisy = { ...plain, layout: wide, noiseStd: 1 };
    const first = valuesOf(release(noisy, []), wide);
    expect(valuesOf(release(noisy, []), wide)).toEqual(first);
    expect(valuesOf(release({ ...noisy, key: key.map((byte) => byte + 1) }, []), wide)).not.toEqual(first);
    expect(first.slice(0, 1000)).not.toEqual(first.slice(30_000, 31_000));
    const product = first.slice(0, 30_000).reduce((sum, x, i) => sum + x * (first[30_000 + i] ?? 0), 0);
    expect(Math.abs(product) * 16).toBeLessThan(5 * Math.sqrt(30_000));
  });

  test("is all that an empty cohort releases", () => {
    const drawn = valuesOf(release({ ...plain, layout: wide, noiseStd: 1 }, []), wide);
    expect(drawn.every((x) => x !== 0 && Number.isFinite(x))).toBe(true);
  });

  test("is added to the same bits in whatever order updates come", () => {
    const clients = fc.array(values, { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(clients, fc.float({ min: 0, max: 3, noNaN: true }), (all, noiseStd) => {
        const updates = all.map((own, i) => updateOf(`u.${i}`, own));
        const terms = { ...plain, noiseStd, countNoise: 0.4 };
        const inOrder = release(terms, updates);
        const reversed = release(terms, [...updates].reverse());
        expect(valuesOf(reversed)).toEqual(valuesOf(inOrder));
        expect(reversed.unclippedShare).toBe(inOrder.unclippedShare);
      }),
    );
  });
});

describe("the share of unclipped updates", () => {
  const within = updateOf("a", [0.5]);
  const beyond = [updateOf("b", [2]), updateOf("c", [3])];

  test("counts those that needed no clipping, not those that did", () => {
    const share = (updates: readonly UpdateView[]): number | undefined =>
      release({ ...plain, countNoise: 0 }, updates).unclippedShare;
    expect(share([within])).toBe(0.5 + 0.5 / 4);
    expect(share(beyond)).toBe(0.5 - 1 / 4);
    expect(share([])).toBe(0.5);
    expect(release(plain, [within]).unclippedShare).toBeUndefined();
  });

  test("is noised apart from the tensors", () => {
    const share = (byte: number): number =>
      release({ ...plain, expected: 100, countNoise: 2, key: key.map(() => byte) }, []).unclippedShare ?? 0;
    const drawn = Array.from({ length: 200 }, (_, byte) => (share(byte) - 0.5) * 100);
    const variance = drawn.reduce((sum, x) => sum + x * x, 0) / drawn.length;
    // Relative deviation of the mean of 200 squares: 0.1.
    expect(variance).toBeGreaterThan(4 * 0.5);
    expect(variance).toBeLessThan(4 * 1.5);
  });
});

test("a method gets the release in place of the updates and adds it to the global adapter", () => {
  const global = tensorsOf(Array.from({ length: size }, (_, i) => i / 10));
  const method = fedavg.create({ biasClients: 32 }, { spec: testSpec(), scalings: {}, adapterLayout: layout });
  const updates = [updateOf("u.1", [3, 4], 1), updateOf("u.2", [0, 0.5], 1)];
  const { update } = release({ ...plain, noiseStd: 0.1 }, updates);
  const result = aggregateInMemory(method, global, [update]);
  if (result.kind !== "adapter") throw new Error(result.message);
  for (const { name } of layout) {
    const expected = [...update.tensor(name)].map((x, i) => Math.fround(x + (toFloat32(global.get(name)!)[i] ?? 0)));
    expect([...toFloat32(result.global.get(name)!)]).toEqual(expected);
  }
  expect(result.metrics).toMatchObject({ contributors: 1, totalWeight: 1 });
});
