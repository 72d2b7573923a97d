import { describe, expect, test } from "vitest";
import { createFft } from "../../math/fft.js";
import { compose, spectrumError } from "./compose.js";
import type { ComposedLoss } from "./compose.js";
import type { LossLattice } from "./loss-lattice.js";
import type { Tilt } from "./tilt.js";

const step = 0.5;
const side = (masses: number[], first: number, offset = 0) => ({ masses: Float64Array.from(masses), first, offset });
/** Losses small enough to compose by hand; the lower side is another distribution, so that a mix-up shows. */
const first: LossLattice = {
  upper: side([0.25, 0.5, 0.25], -1),
  lower: side([0.5, 0.25, 0.25], -2, 0.125),
  infinite: 0,
};
const second: LossLattice = { upper: side([0.5, 0.5], 2), lower: side([0.75, 0.25], 1, 0.25), infinite: 0 };
const moment = ({ masses, first: from }: LossLattice["upper"], theta: number): number =>
  Math.log(masses.reduce((sum, mass, i) => sum + mass * Math.exp(theta * step * (from + i)), 0));
const tilt = (theta: number): Tilt => ({
  theta,
  low: 0,
  high: 0,
  above: 0.5,
  below: 0.25,
  // Near is enough.
  cumulant: (i, at) => moment((i === 0 ? first : second).upper, at) + 0.3,
});

/** Masses by lattice point, the tilt taken off again. */
function untilted({ masses, window, logScale }: ComposedLoss, theta: number): Map<number, number> {
  const found = new Map<number, number>();
  const size = masses.length;
  for (let point = window; point < window + size; point += 1) {
    const mass = (masses[((point % size) + size) % size] ?? 0) * Math.exp(logScale - theta * step * point);
    if (Math.abs(mass) > 1e-9) found.set(point, mass);
  }
  return found;
}
function convolve(parts: readonly { readonly masses: Float64Array; readonly first: number }[]): Map<number, number> {
  let sums = new Map([[0, 1]]);
  for (const { masses, first: from } of parts) {
    const next = new Map<number, number>();
    for (const [point, mass] of sums) {
      masses.forEach((own, i) => next.set(point + from + i, (next.get(point + from + i) ?? 0) + mass * own));
    }
    sums = next;
  }
  return sums;
}
const parts = [
  { lattice: first, count: 3 },
  { lattice: second, count: 1 },
];

describe.each([0, 0.7, 3])("tilted by %d", (theta) => {
  const composed = () => compose(parts, step, tilt(theta), -4, createFft(32))!;
  test("both sides are the convolution of their parts", () => {
    const { upper, lower } = composed();
    const expectedUpper = convolve([first.upper, first.upper, first.upper, second.upper]);
    const expectedLower = convolve([first.lower, first.lower, first.lower, second.lower]);
    for (const [actual, expected] of [
      [untilted(upper, theta), expectedUpper],
      [untilted(lower, theta), expectedLower],
    ] as const) {
      expect([...actual.keys()]).toEqual([...expected.keys()].sort((a, b) => a - b));
      for (const [point, mass] of expected) expect(actual.get(point)).toBeCloseTo(mass, 9);
    }
    expect(upper.offset).toBe(0);
    expect(lower.offset).toBeCloseTo(3 * 0.125 + 0.25, 12);
    expect(upper.window).toBe(-8);
    expect(lower.window).toBe(Math.floor((-4 - 0.625) / step));
    expect(upper.logScale).toBeCloseTo(3 * moment(first.upper, theta) + moment(second.upper, theta), 12);
  });
  test("nothing lies outside a window that holds all points", () => {
    // Points -1 to 6 of the upper side and -5 to 2 of the lower one, in windows from -8 and -10.
    const { upper, lower } = composed();
    for (const { logBelow, logAbove } of [upper, lower]) {
      expect(logBelow).toBe(Number.NEGATIVE_INFINITY);
      expect(logAbove).toBe(Number.NEGATIVE_INFINITY);
    }
  });
});

test("what lies outside the window is bounded, and folded into it", () => {
  const theta = 0.4;
  // Points 1 to 4 of the upper side's -1 to 6.
  const { upper } = compose(parts, step, tilt(theta), 0.5, createFft(4))!;
  expect(upper.window).toBe(1);
  const tilted = new Map(
    [...convolve([first.upper, first.upper, first.upper, second.upper])].map(([point, mass]) => [
      point,
      mass * Math.exp(theta * step * point - upper.logScale),
    ]),
  );
  const sum = (keep: (point: number) => boolean): number =>
    [...tilted].reduce((total, [point, mass]) => total + (keep(point) ? mass : 0), 0);
  const below = sum((point) => point < 1);
  const above = sum((point) => point >= 5);
  expect(upper.logBelow).toBeGreaterThanOrEqual(Math.log(below));
  expect(upper.logAbove).toBeGreaterThanOrEqual(Math.log(above));
  // Markov's inequality at the tilt's distances, or shorter ones if they are better.
  const bound = (distance: number, end: number): number =>
    3 * moment(first.upper, theta + distance) +
    moment(second.upper, theta + distance) -
    upper.logScale -
    distance * end * step;
  expect(upper.logBelow).toBeCloseTo(
    Math.min(0, ...[1, 1 / 8, 1 / 64, 1 / 512, 1 / 4096].map((share) => bound(-0.25 * share, 1))),
    10,
  );
  expect(upper.logAbove).toBeCloseTo(
    Math.min(0, ...[1, 1 / 8, 1 / 64, 1 / 512, 1 / 4096].map((share) => bound(0.5 * share, 5))),
    10,
  );
  for (const residue of [0, 1, 2, 3]) {
    expect(upper.masses[residue]).toBeCloseTo(
      sum((point) => (((point - residue) % 4) + 4) % 4 === 0),
      11,
    );
  }
});

describe("a window that begins at the first point and ends with the last", () => {
  // Points -1 to 6 of the upper side and -5 to 2 of the lower one, which begins at -5 step + 0.625.
  const at = (low: number, size: number) => compose(parts, step, tilt(0.4), low, createFft(size))!;
  test("leaves nothing outside", () => {
    expect(at(-0.5, 8).upper).toMatchObject({ logBelow: Number.NEGATIVE_INFINITY, logAbove: Number.NEGATIVE_INFINITY });
    expect(at(-1.875, 8).lower).toMatchObject({
      window: -5,
      logBelow: Number.NEGATIVE_INFINITY,
      logAbove: Number.NEGATIVE_INFINITY,
    });
  });
  test("leaves a point outside when it is moved by one", () => {
    expect(at(0, 8).upper.logBelow).toBeGreaterThan(-10);
    expect(at(-1, 8).upper.logAbove).toBeGreaterThan(-10);
    expect(at(-1.375, 8).lower.logBelow).toBeGreaterThan(-10);
    expect(at(-2.375, 8).lower.logAbove).toBeGreaterThan(-10);
  });
});

test("masses of more points than one exponential serves are tilted as each asks for", () => {
  const masses = Array.from({ length: 45 }, (_, i) => (1 + (i % 7)) / 178);
  const long: LossLattice = { upper: side(masses, -20), lower: side(masses.toReversed(), -21), infinite: 0 };
  const theta = 0.3;
  const { upper, lower } = compose(
    [{ lattice: long, count: 2 }],
    step,
    { ...tilt(theta), cumulant: () => 3 },
    -25,
    createFft(128),
  )!;
  for (const [actual, expected] of [
    [upper, long.upper],
    [lower, long.lower],
  ] as const) {
    const found = untilted(actual, theta);
    for (const [point, mass] of convolve([expected, expected])) expect(found.get(point)).toBeCloseTo(mass, 10);
    expect(actual.logScale).toBeCloseTo(2 * moment(expected, theta), 12);
  }
});

test("a part with more points than the window is folded into it more than once", () => {
  const masses = Array.from({ length: 45 }, (_, i) => (1 + (i % 7)) / 178);
  const long: LossLattice = { upper: side(masses, -20), lower: side(masses, -20), infinite: 0 };
  const theta = 0.1;
  const { upper } = compose(
    [{ lattice: long, count: 1 }],
    step,
    { ...tilt(theta), cumulant: () => 0 },
    0,
    createFft(8),
  )!;
  const expected = new Float64Array(8);
  for (const [i, mass] of masses.entries()) {
    expected[(i + 4) % 8]! += mass * Math.exp(theta * step * (i - 20) - upper.logScale);
  }
  for (const [residue, mass] of expected.entries()) expect(upper.masses[residue]).toBeCloseTo(mass, 11);
});

describe("the rounding that is counted", () => {
  const none = side([1], 0);
  const untouched: Tilt = { ...tilt(0), cumulant: () => 0 };
  const noise = (masses: LossLattice["upper"], count: number): number =>
    compose([{ lattice: { upper: masses, lower: none, infinite: 0 }, count }], step, untouched, -1, createFft(16))!
      .upper.noise / spectrumError;
  test("is twice a spectrum's error for each application and once for the way back, of both sides", () => {
    // All frequencies of a single point have magnitude 1.
    expect(noise(none, 1)).toBeCloseTo(3 + 3, 9);
    expect(noise(none, 40)).toBeCloseTo(81 + 81, 9);
  });
  test("adds up over parts", () => {
    const lattice: LossLattice = { upper: none, lower: none, infinite: 0 };
    const parts = [1, 4].map((count) => ({ lattice, count }));
    const { upper } = compose(parts, step, untouched, -1, createFft(16))!;
    expect(upper.noise / spectrumError).toBeCloseTo(2 * (2 * 5 + 1), 9);
  });
  test("is at most what a frequency without mass may have", () => {
    // Points half the window apart cancel at every other frequency.
    const halves = side([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5], 0);
    expect(noise(halves, 1)).toBeCloseTo(0.5 * 3 + 0.5 * 2 + 3, 9);
    for (const count of [2, 40]) expect(noise(halves, count)).toBeCloseTo(1.5 * (2 * count + 1), 9);
  });
  test("is reported for both sides, and covers what either is wrong by", () => {
    const count = 60;
    const coin = (probability: number) => side([1 - probability, probability], 0);
    const lattice: LossLattice = { upper: coin(0.5), lower: coin(0.125), infinite: 0 };
    const { upper, lower } = compose([{ lattice, count }], step, untouched, 0, createFft(64))!;
    expect(upper.noise).toBe(lower.noise);
    for (const [{ masses }, probability] of [
      [upper, 0.5],
      [lower, 0.125],
    ] as const) {
      let binomial = (1 - probability) ** count;
      for (let k = 0; k <= count; k += 1) {
        expect(Math.abs((masses[k] ?? 0) - binomial)).toBeLessThan(upper.noise);
        binomial *= ((count - k) / (k + 1)) * (probability / (1 - probability));
      }
    }
  });
});

test("a part without mass cannot be composed", () => {
  const empty: LossLattice = { upper: side([0], 0), lower: side([1], 0), infinite: 1 };
  expect(compose([{ lattice: empty, count: 1 }], step, tilt(0), 0, createFft(4))).toBeUndefined();
  expect(
    compose(
      [{ lattice: { ...empty, upper: side([1], 0), lower: side([0], 0) }, count: 1 }],
      step,
      tilt(0),
      0,
      createFft(4),
    ),
  ).toBeUndefined();
});
