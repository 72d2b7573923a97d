import fc from "fast-check";
import { expect, test } from "vitest";
import { lanes, splitter } from "./exact-kernels.js";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import { LevelArena } from "./level-arena.js";

const plain = new LevelArena("plain");
const simd = new LevelArena("simd");
const arenas = [plain, simd];
/** Two levels, at the same addresses in both. */
const [first = 0, second = 0] = arenas.map((arena) => [arena.take(), arena.take()]).flat();

const awkward = [0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, 3.4028234663852886e38, -1e30, 1e-30, 1, -1, 2 ** -24];
const finite = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: -1, max: 1, noNaN: true }),
  fc.constantFrom(...awkward),
);
const double = fc.oneof(finite, fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e60, max: 1e60 }));
const anyPattern = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -(2 ** 31), 1, 0x7f7fffff, 0x7f800000, 0x7f800001, -0x800000, -1, 0x3f800000),
);
/** Whole groups of lanes, as kernels are called with. */
const groups = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.integer({ min: 1, max: 9 }).chain((n) => fc.array(value, { minLength: n * lanes, maxLength: n * lanes }));

/** Runs it on both arenas, set up alike: results and every byte of memory must be the same. */
function expectSame(setUp: (arena: LevelArena) => void, run: (arena: LevelArena) => unknown): void {
  const results = arenas.map((arena) => {
    arena.doubles.fill(0);
    setUp(arena);
    return run(arena);
  });
  expect(results[1]).toBe(results[0]);
  expect(Buffer.compare(Buffer.from(simd.doubles.buffer), Buffer.from(plain.doubles.buffer))).toBe(0);
}
const setFloats = (arena: LevelArena, values: readonly number[]): void =>
  arena.floats.set(Float32Array.from(values), arena.staged >>> 2);
const setDoubles = (arena: LevelArena, address: number, values: readonly number[]): void =>
  arena.doubles.set(values, address >>> 3);

test("this engine runs the WebAssembly kernels", () => {
  expect([plain.kind, simd.kind]).toEqual(["plain", "simd"]);
});

test("both kernels find the same patterns in range, and the same largest one", () => {
  const bound = fc.integer({ min: 0, max: 0x7f7fffff });
  fc.assert(
    fc.property(groups(anyPattern), bound, bound, (patterns, smallest, largest) => {
      const setUp = (arena: LevelArena): void => arena.patterns.set(patterns, arena.staged >>> 2);
      expectSame(setUp, ({ kernels, staged }) => kernels.within(staged, patterns.length, smallest, largest));
      expectSame(setUp, ({ kernels, staged }) => kernels.largestPattern(staged, patterns.length));
    }),
    { numRuns: 500 },
  );
});

test("a pattern at a bound is in range, its neighbour beyond is not, zeros always are", () => {
  for (const { patterns, kernels, staged } of arenas) {
    const within = (pattern: number, smallest: number, largest: number): boolean => {
      patterns.fill(0, 0, 2 * lanes);
      patterns[lanes + 1] = pattern;
      return kernels.within(staged, 2 * lanes, smallest, largest);
    };
    expect([100, 101, 200].map((pattern) => within(pattern, 100, 200))).toEqual([true, true, true]);
    expect([99, 201, 1, 0x7fc00000].map((pattern) => within(pattern, 100, 200))).toEqual([false, false, false, false]);
    expect([0, -(2 ** 31), 100 - 2 ** 31].map((pattern) => within(pattern, 100, 200))).toEqual([true, true, true]);
    expect([1, 0].map((pattern) => within(pattern, 0, 200))).toEqual([true, true]);
  }
});

test("both kernels fold to the same bits", () => {
  const weight = fc.oneof(fc.integer({ min: 1, max: 2 ** 24 }), finite.map(Math.abs));
  const level = fc.integer({ min: -300, max: 200 });
  fc.assert(
    fc.property(groups(finite), fc.array(double), weight, level, (values, held, by, exponent) => {
      expectSame(
        (arena) => {
          setFloats(arena, values);
          setDoubles(arena, first, held);
          setDoubles(arena, second, held.toReversed());
        },
        ({ kernels, staged }) => kernels.foldTwo(staged, values.length, by, first, second, splitter(exponent)),
      );
    }),
    { numRuns: 500 },
  );
});

test("both kernels move, add up and measure levels to the same bits", () => {
  fc.assert(
    fc.property(groups(double), fc.array(double), fc.integer({ min: -300, max: 200 }), (terms, held, exponent) => {
      const count = terms.length;
      const setUp = (arena: LevelArena): void => {
        setDoubles(arena, first, terms);
        setDoubles(arena, second, held);
        setDoubles(arena, arena.sums, held);
        setDoubles(arena, arena.sizes, held.map(Math.abs));
      };
      expectSame(setUp, ({ kernels }) => kernels.moveMultiples(first, count, second, splitter(exponent)));
      expectSame(setUp, ({ kernels }) => kernels.largestMagnitude(first, count));
      expectSame(setUp, ({ kernels, sums, sizes }) => kernels.addLevel(first, count, sums, sizes));
      expectSame(setUp, ({ kernels, sums, sizes }) => kernels.joinLevels(first, second, count, sums, sizes));
    }),
    { numRuns: 300 },
  );
});

test("both kernels round to the same bits and stop at the same group", () => {
  // Wide tolerances make elements undecided; sizes of 0 leave values alone. The levels say what they like.
  const halves = fc.integer({ min: -99, max: 99 }).map((i) => i + 0.5);
  const element = fc.record({
    value: finite,
    sum: double,
    size: fc.oneof(fc.constant(0), double.map(Math.abs)),
    low: fc.oneof(fc.constantFrom(0, 2 ** -60), double),
    high: fc.oneof(halves, double),
  });
  const weights = fc.oneof(fc.constant(undefined), fc.integer({ min: 1, max: 64 }));
  const tolerance = fc.constantFrom(2 ** -47, 2 ** -26, 2 ** -20, 0);
  const inverse = fc.constantFrom(1, 0.5, 1 / 3, 1e-9, 1e20);
  const start = fc.constantFrom(0, 0, lanes);
  fc.assert(
    fc.property(groups(element), inverse, tolerance, start, weights, (elements, scale, relative, i, total) => {
      const count = elements.length;
      expectSame(
        (arena) => {
          setFloats(
            arena,
            elements.map(({ value }) => value),
          );
          setDoubles(
            arena,
            arena.sums,
            elements.map(({ sum }) => sum),
          );
          setDoubles(
            arena,
            arena.sizes,
            elements.map(({ size }) => size),
          );
          setDoubles(
            arena,
            first,
            elements.map(({ low }) => low),
          );
          setDoubles(
            arena,
            second,
            elements.map(({ high }) => high),
          );
        },
        ({ kernels, sums, sizes, staged }) => {
          const levels = total === undefined ? ([0, 0, 0] as const) : ([first, second, total] as const);
          return kernels.roundMeans(Math.min(i, count), count, sums, sizes, scale, relative, staged, ...levels);
        },
      );
    }),
    { numRuns: 1000 },
  );
});

test("sums on either kernels hold the same levels and round to the same means, at every length", () => {
  const length = fc.oneof(
    fc.integer({ min: 1, max: 9 }),
    fc.constantFrom(1021, 1023, 1024, 1025, 2047, 2050, 16383, 16385),
  );
  const update = fc.record({
    values: fc.array(fc.oneof({ weight: 20, arbitrary: fc.float({ min: -1, max: 1, noNaN: true }) }, finite), {
      minLength: 1,
      maxLength: 40,
    }),
    weight: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(2 ** 24 - 1, 0.5, 1e-20)),
  });
  fc.assert(
    fc.property(length, fc.array(update, { minLength: 1, maxLength: 6 }), (n, updates) => {
      const base = Float32Array.from({ length: n }, (_, i) => awkward[i % 3] ?? 0);
      const [one, other] = arenas.map((arena) => {
        const [sum, total, shard] = [new ExactSum(n, arena), new ExactTotal(), new ExactSum(n, arena)];
        updates.forEach(({ values, weight }, k) => {
          (k % 2 === 0 ? sum : shard).add(
            Float32Array.from({ length: n }, (_, i) => values[(i * 7 + (i >> 5)) % values.length] ?? 0),
            weight,
          );
          total.add(weight);
        });
        sum.merge(shard);
        const held = [0, n >> 1, n - 1].map((i) => sum.toBigInt(i));
        const mean = sum.takeMean(total, base);
        shard.clear();
        return { held, bits: new Uint32Array(mean.buffer) };
      });
      expect(other?.held).toEqual(one?.held);
      expect(other?.bits).toEqual(one?.bits);
    }),
    { numRuns: 150 },
  );
});

test("a sum in one arena takes what a sum in another holds", () => {
  const values = Float32Array.from({ length: 1500 }, (_, i) => Math.sin(i));
  const [one, other] = arenas.map((arena) => {
    const sum = new ExactSum(values.length, arena);
    sum.add(values, 3);
    return sum;
  });
  one!.merge(other!);
  expect([0, 1, 1499].map((i) => one!.toBigInt(i))).toEqual([0, 1, 1499].map((i) => 2n * other!.toBigInt(i)));
});
