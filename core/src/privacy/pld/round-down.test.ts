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
      [0.9, 0.05],
      [0, 0],
      [0.1, 0.09],
    ]);
    expect(offset).toBeCloseTo(0.05, 12);
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
});
