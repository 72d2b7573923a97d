import fc from "fast-check";
import { expect, test } from "vitest";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";

/** Oracle: exact rational arithmetic on integers times 2^-298, written without the code under test. */
const scale = 2 ** 298;
const units = (value: number): bigint => BigInt(value * scale);
interface Term {
  values: Float32Array;
  weight: number;
}
function oracle(terms: readonly Term[], index: number): bigint {
  return terms.reduce((sum, { values, weight }) => sum + units((values[index] ?? 0) * weight), 0n);
}

/** Whether `result` is a float32 nearest to numerator / denominator: no neighbour is nearer, and ties went to even. */
function isNearest(result: number, numerator: bigint, denominator: bigint): boolean {
  const distance = (candidate: number): bigint => {
    const difference = units(candidate) * denominator - numerator * BigInt(scale);
    return difference < 0n ? -difference : difference;
  };
  const pattern = new DataView(new ArrayBuffer(4));
  pattern.setFloat32(0, result);
  const bits = pattern.getInt32(0);
  const mine = distance(result);
  return [bits - 1, bits + 1].every((other) => {
    pattern.setInt32(0, other);
    const candidate = pattern.getFloat32(0);
    if (!Number.isFinite(candidate) || Math.sign(candidate) * Math.sign(result) < 0) return true;
    const theirs = distance(candidate);
    return mine < theirs || (mine === theirs && (bits & 1) === 0);
  });
}

const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
/** All magnitudes of float32, ordinary ones, and the awkward few. */
const value = fc.oneof(
  anyFloat,
  fc.float({ min: -1, max: 1, noNaN: true }),
  fc.constantFrom(0, -0, 2 ** -149, -(2 ** -149), 3.4028234663852886e38, 1e-30, -1e30, 1, 2 ** -24),
);
const weight = fc.oneof(
  fc.integer({ min: 1, max: 1_000_000 }),
  fc.constantFrom(1, 2 ** 20, 2 ** 24 - 1, 0.5, Math.fround(1 / 3)),
);
const terms = fc.integer({ min: 1, max: 9 }).chain((length) =>
  fc.array(
    fc.record({
      values: fc.array(value, { minLength: length, maxLength: length }).map((list) => Float32Array.from(list)),
      weight,
    }),
    { minLength: 1, maxLength: 8 },
  ),
);

function sumOf(list: readonly Term[], length = list[0]?.values.length ?? 0): ExactSum {
  const sum = new ExactSum(length);
  for (const { values, weight: w } of list) sum.add(values, w);
  return sum;
}
function totalOf(list: readonly Term[]): ExactTotal {
  const total = new ExactTotal();
  for (const { weight: w } of list) total.add(w);
  return total;
}
const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

test("the sum is exact for every magnitude and weight", () => {
  fc.assert(
    fc.property(terms, (list) => {
      const sum = sumOf(list);
      for (let i = 0; i < sum.length; i++) expect(sum.toBigInt(i)).toBe(oracle(list, i));
    }),
    { numRuns: 500 },
  );
});

test("the mean is the float32 nearest to the rational number base + sum / total", () => {
  fc.assert(
    fc.property(terms, anyFloat, (list, from) => {
      const base = new Float32Array(list[0]?.values.length ?? 0).fill(from);
      const mean = sumOf(list).takeMean(totalOf(list), base);
      const total = list.reduce((sum, { weight: w }) => sum + units(w), 0n);
      mean.forEach((result, i) => {
        const sum = oracle(list, i);
        if (!Number.isFinite(result)) return;
        expect(isNearest(result, units(from) * total + sum * BigInt(scale), total * BigInt(scale))).toBe(true);
      });
    }),
    { numRuns: 500 },
  );
});

test("order and sharding change no bit of the mean", () => {
  const shuffledTerms = terms.chain((list) =>
    fc.record({
      list: fc.constant(list),
      shuffled: fc.shuffledSubarray(list, { minLength: list.length }),
      cut: fc.integer({ min: 0, max: list.length }),
    }),
  );
  fc.assert(
    fc.property(shuffledTerms, anyFloat, ({ list, shuffled, cut }, from) => {
      const length = list[0]?.values.length ?? 0;
      const base = new Float32Array(length).fill(from);
      const expected = bitsOf(sumOf(list).takeMean(totalOf(list), base));
      const sharded = sumOf(shuffled.slice(0, cut), length);
      sharded.merge(sumOf(shuffled.slice(cut), length));
      expect(bitsOf(sumOf(shuffled).takeMean(totalOf(shuffled), base))).toEqual(expected);
      expect(bitsOf(sharded.takeMean(totalOf(shuffled), base))).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("scaling all integer weights changes no bit of the mean", () => {
  const counted = fc.array(fc.record({ x: value, n: fc.integer({ min: 1, max: 100_000 }) }), { minLength: 1 });
  fc.assert(
    fc.property(counted, fc.integer({ min: 2, max: 100 }), (list, factor) => {
      const plain = list.map(({ x, n }) => ({ values: Float32Array.of(x), weight: n }));
      const scaled = plain.map(({ values, weight: n }) => ({ values, weight: n * factor }));
      expect(bitsOf(sumOf(scaled).takeMean(totalOf(scaled)))).toEqual(bitsOf(sumOf(plain).takeMean(totalOf(plain))));
    }),
  );
});

test("tens of thousands of folds at the top of the window carry without loss", () => {
  const folds = 20_000;
  const heaviest = 16_000_057;
  const first = Float32Array.from({ length: 8 }, (_, k) => (0.6180339887 + k * 0.0471) * (-1) ** k);
  const sum = new ExactSum(first.length);
  sum.add(first, heaviest);
  // The window was placed by the first update; 500 times larger ones fill it to its limit, with all 48 bits in use.
  const larger = first.map((x) => x * 500);
  for (let i = 0; i < folds; i++) sum.add(larger, heaviest);
  first.forEach((x, i) => {
    expect(sum.toBigInt(i)).toBe(units(x * heaviest) + BigInt(folds) * units((larger[i] ?? 0) * heaviest));
  });
});

test("a full lower level takes small values of every exponent without loss", () => {
  // With 1 as the first term, level 0 counts in 2^-30: values just under half of that go to level -1 as they are.
  const full = (1 - 2 ** -24) * 2 ** -31;
  for (let exponent = -30; exponent > -90; exponent--) {
    const small = 2 ** exponent * (1 + 2 ** -23);
    const sum = new ExactSum(2);
    for (let i = 0; i < 1023; i++) sum.add(Float32Array.of(1, full), 1);
    sum.add(Float32Array.of(1, small), 1);
    expect(sum.toBigInt(1)).toBe(1023n * units(full) + units(small));
  }
});

test("a mean that float64 cannot tell from a tie is still rounded to the nearer side", () => {
  const meanOf = (tiny: number): number => {
    const list = [2 ** -23, tiny].map((x) => ({ values: Float32Array.of(x), weight: 1 }));
    return sumOf(list).takeMean(totalOf(list), Float32Array.of(1))[0] ?? NaN;
  };
  // 1 + 2^-24 lies half-way between 1 and 1 + 2^-23.
  expect(meanOf(2 ** -79)).toBe(1 + 2 ** -23);
  expect(meanOf(-(2 ** -79))).toBe(1);
  expect(meanOf(0)).toBe(1);
});

test("blocks are independent: an outlier in one and zeros in another change nothing elsewhere", () => {
  const length = 2500;
  const list = [1, 3, 700].map((w, k) => ({
    values: Float32Array.from({ length }, (_, i) => (i < 1024 ? 0 : Math.sin(i * 7 + k) * 1e-3)),
    weight: w,
  }));
  list[1]?.values.fill(1e30, 2048, 2049);
  list[2]?.values.fill(1e-30, 2100, 2110);
  const sum = sumOf(list);
  for (const i of [0, 1023, 1024, 2047, 2048, 2049, 2100, 2109, 2499]) {
    expect(sum.toBigInt(i)).toBe(oracle(list, i));
  }
});

test("a sum of zero leaves the base as it is, sign of zero included", () => {
  const up = { values: Float32Array.of(0, 0.1, 1e30), weight: 3 };
  const down = { values: Float32Array.of(-0, -0.1, -1e30), weight: 3 };
  const base = Float32Array.of(-0, 0.3, -0);
  expect(bitsOf(sumOf([up, down]).takeMean(totalOf([up, down]), base))).toEqual(bitsOf(base));
  // 2^-110 is one unit of level 0 here, its quarters are on level -1: zero as a sum, but not level by level.
  const parts = [-1, 0.25, 0.25, 0.25, 0.25].map((x) => ({
    values: Float32Array.of(2 ** -80, x * 2 ** -110),
    weight: 1,
  }));
  for (const zero of [0, -0]) {
    expect(sumOf(parts).takeMean(totalOf(parts), Float32Array.of(0, zero))[1]).toBe(zero);
  }
});

test("what cannot be summed is refused by name", () => {
  const sum = new ExactSum(2);
  expect(() => sum.add(Float32Array.of(1, NaN), 1)).toThrow(expect.objectContaining({ code: "update-not-finite" }));
  expect(() => sum.add(Float32Array.of(1, Infinity), 1)).toThrow(
    expect.objectContaining({ code: "update-not-finite" }),
  );
  expect(() => sum.add(Float32Array.of(1), 1)).toThrow(expect.objectContaining({ code: "update-shape" }));
  for (const wrong of [-1, NaN, Infinity, 1e39]) {
    expect(() => sum.add(Float32Array.of(1, 1), wrong)).toThrow(expect.objectContaining({ code: "update-weight" }));
  }
  sum.add(Float32Array.of(1, 1), 4);
  expect(() => sum.add(Float32Array.of(1, NaN), 1)).toThrow(expect.objectContaining({ code: "update-not-finite" }));
});

test("a weight of zero adds nothing", () => {
  const sum = new ExactSum(1);
  sum.add(Float32Array.of(5), 0);
  expect(sum.toBigInt(0)).toBe(0n);
});
