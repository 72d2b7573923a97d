import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { roundDown } from "./round-down.js";

const step = 0.1;
/** An outcome of that mass, `height` above the lower end of its interval, as its masses at both ends. */
const ends = (mass: number, height: number): [number, number] => {
  const high = (mass * -Math.expm1(-height)) / -Math.expm1(-step);
  return [mass - high, high];
};
const round = (outcomes: readonly (readonly [number, number])[]): ReturnType<typeof roundDown> => {
  const pairs = outcomes.map(([mass, height]) => ends(mass, height));
  return roundDown(
    Float64Array.from(pairs, ([low]) => low),
    Float64Array.from(pairs, ([, high]) => high),
    7,
    step,
  );
};

describe("losses are brought to one lattice from above", () => {
  test("equal heights stay where they are", () => {
    const { masses, first, offset } = round([
      [0.2, 0.03],
      [0.5, 0.03],
      [0.3, 0.03],
    ]);
    expect(first).toBe(6);
    expect(offset).toBeCloseTo(0.03, 12);
    expect([...masses].map((mass) => Number(mass.toFixed(9)))).toEqual([0, 0.2, 0.5, 0.3]);
  });

  test("an outcome above its point falls to it", () => {
    const { masses, offset } = round([
      [0.9, 0.047],
      [0, 0],
      [0.1, 0.09],
    ]);
    expect(offset).toBeCloseTo(0.047, 12);
    expect(masses[1]).toBeCloseTo(0.9, 12);
    expect(masses[3]).toBeCloseTo(0.1, 12);
  });

  test("an outcome below its point takes in as much of the next as lifts it there, both distributions' masses kept", () => {
    const { masses, offset } = round([
      [0.2, 0.045],
      [0.8, 0.05],
    ]);
    expect(offset).toBeCloseTo(0.05, 12);
    const [, at7 = 0, at8 = 0] = masses;
    expect(at7).toBeGreaterThan(0.2);
    expect(at7 + at8).toBeCloseTo(1, 12);
    // Under the other distribution: mass over the exponential of the loss.
    const before = 0.2 * Math.exp(-0.745) + 0.8 * Math.exp(-0.85);
    expect(at7 * Math.exp(-(0.7 + offset)) + at8 * Math.exp(-(0.8 + offset))).toBeCloseTo(before, 12);
  });

  test("where the next does not suffice the outcome falls by a step", () => {
    const { masses, offset } = round([
      [0.3, 0.01],
      [0.001, 0.05],
      [0.699, 0.08],
    ]);
    expect(offset).toBeCloseTo(0.08, 12);
    expect(masses[0]).toBeCloseTo(0.3, 12);
  });

  test("empty intervals hold nothing", () => {
    const { masses } = round([
      [0, 0.05],
      [1, 0.05],
      [0, 0.05],
    ]);
    expect([...masses].map((mass) => Number(mass.toFixed(12)))).toEqual([0, 0, 1, 0]);
    expect(roundDown(new Float64Array(0), new Float64Array(0), 3, step).masses).toEqual(new Float64Array(1));
  });

  test.each([
    [0.0505, 0.05],
    [0.0515, 0.051],
    [0.056, 0.055],
    [0.066, 0.065],
  ])("losses of %d that outweigh the heaviest one are brought to %d", (height, expected) => {
    // None can take in of the next, which is empty.
    const { masses, offset } = round([
      [0.35, height],
      [0, 0],
      [0.36, 0.01],
      [0, 0],
      [0.29, height],
    ]);
    expect(offset).toBeCloseTo(expected, 12);
    expect([...masses].map((mass) => Number(mass.toFixed(9)))).toEqual([0, 0.35, 0.36, 0, 0, 0.29]);
  });

  test("no divergence rises, no mass is lost and the mean falls by less than a step", () => {
    const outcome = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: step, noNaN: true }));
    fc.assert(
      fc.property(fc.array(outcome, { minLength: 1, maxLength: 12 }), (outcomes) => {
        const total = outcomes.reduce((sum, [mass]) => sum + mass, 0);
        fc.pre(total > 1e-3);
        const before = outcomes.map(([mass, height], i) => ({ mass: mass / total, loss: (7 + i) * step + height }));
        const { masses, first, offset } = round(outcomes.map(([mass, height]) => [mass / total, height]));
        const after = [...masses].map((mass, i) => ({ mass, loss: (first + i) * step + offset }));
        const mean = (losses: typeof before): number => losses.reduce((sum, { mass, loss }) => sum + mass * loss, 0);
        expect(after.reduce((sum, { mass }) => sum + mass, 0)).toBeCloseTo(1, 12);
        expect(mean(after)).toBeGreaterThan(mean(before) - step);
        const divergence = (losses: typeof before, epsilon: number): number =>
          losses.reduce((sum, { mass, loss }) => sum + mass * Math.max(0, -Math.expm1(epsilon - loss)), 0);
        // Both are piecewise exponential: what holds at each loss of either holds between them.
        for (const { loss } of [...before, ...after]) {
          expect(divergence(after, loss)).toBeLessThanOrEqual(divergence(before, loss) + 1e-14);
        }
      }),
    );
  });
});
