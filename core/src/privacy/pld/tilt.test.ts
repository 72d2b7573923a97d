import { describe, expect, test } from "vitest";
import { subsampledGaussianRdp } from "../subsampled-gaussian-rdp.js";
import { surveyLoss } from "./tilt.js";
import type { Composed } from "./tilt.js";

const one = (samplingRate: number, noiseMultiplier: number, count: number): Composed => ({
  samplingRate,
  noiseMultiplier,
  count,
});

/** Next to nothing is cut off. */
const request = (delta: number, roundingError = 1e-12) => ({ delta, roundingError, tailMass: 1e-300 });

describe("cumulants", () => {
  test.each([
    [0.01, 1, 2.3],
    [0.2, 0.5, 0.7],
    [0.5, 4, 11],
    [1, 0.3, 3],
    [1, 0.05, 0.5],
  ])("to remove they are Renyi divergences: rate %d, noise %d, theta %d", (q, sigma, theta) => {
    const tilt = surveyLoss([one(q, sigma, 5)], "remove", request(1e-5)).tiltFor(1);
    const divergence = subsampledGaussianRdp(theta + 1, q, sigma);
    expect(tilt.cumulant(0, theta)).toBeCloseTo(theta * divergence, 6);
    // Of -1 the moment is the mass of the other distribution, 1.
    expect(tilt.cumulant(0, 0)).toBeCloseTo(0, 8);
    expect(tilt.cumulant(0, -1)).toBeCloseTo(0, 8);
  });

  test("to add they are the same, turned around -1/2", () => {
    const mechanism = one(0.2, 0.8, 5);
    const remove = surveyLoss([mechanism], "remove", request(1e-5)).tiltFor(1);
    const add = surveyLoss([mechanism], "add", request(1e-5)).tiltFor(1);
    for (const theta of [0.3, 1, 4]) expect(add.cumulant(0, theta)).toBeCloseTo(remove.cumulant(0, -1 - theta), 8);
  });

  test("of a large theta they are theta times the largest loss of the table, of a large negative one the least", () => {
    // 3 standard deviations around 1, half of which is a loss of 0.
    const tailMass = 0.0013498980316300946;
    const tilt = surveyLoss([one(1, 1, 1)], "remove", { ...request(1e-5), tailMass }).tiltFor(1);
    expect(tilt.cumulant(0, 1e7) / 1e7).toBeCloseTo(4 - 0.5, 5);
    expect(tilt.cumulant(0, -1e7) / -1e7).toBeCloseTo(-2 - 0.5, 5);
  });

  test("of a mechanism that is not there they are not a number", () => {
    expect(surveyLoss([], "add", request(1e-5)).tiltFor(1).cumulant(0, 1)).toBeNaN();
  });
});

describe("the first guess", () => {
  test.each([
    // 11.. orders refined without end: a little below the figures of order grids.
    [0.04, 1.5, 2250, 1e-5, 7.3291],
    [0.01, 0.7, 120, 1e-5, 3.2392],
    [1, 1, 1, 1e-5, 4.7285],
  ])("is epsilon by Renyi divergences: rate %d, noise %d, %d steps", (q, sigma, count, delta, epsilon) => {
    const { renyiEpsilon } = surveyLoss([one(q, sigma, count)], "remove", request(delta));
    expect(renyiEpsilon).toBeLessThanOrEqual(epsilon + 1e-4);
    expect(renyiEpsilon).toBeGreaterThan(epsilon * 0.999);
  });
  test("adds up over mechanisms and is never negative", () => {
    const parts = [one(1, 5, 3), one(1, 7, 10)];
    const whole = one(1, (3 / 25 + 10 / 49) ** -0.5, 1);
    expect(surveyLoss(parts, "remove", request(1e-5)).renyiEpsilon).toBeCloseTo(
      surveyLoss([whole], "remove", request(1e-5)).renyiEpsilon,
      5,
    );
    expect(surveyLoss([one(1, 1000, 1)], "remove", request(0.3)).renyiEpsilon).toBe(0);
  });
});

test("the tails that a table cuts off do not widen the window", () => {
  const mechanism = one(1e-6, 1, 1);
  const high = (tailMass: number): number =>
    surveyLoss([mechanism], "remove", { ...request(1e-9), tailMass }).tiltFor(1e-5).high;
  expect(high(1e-16)).toBeLessThan(0.01);
  expect(high(1e-300)).toBeGreaterThan(0.1);
});

describe("of plain Gaussian noise, whose loss is normal with mean m and variance 2 m", () => {
  const sigma = 0.5;
  const mean = 1 / (2 * sigma ** 2);
  const std = 1 / sigma;
  const survey = (delta: number, rounding: number) =>
    surveyLoss([one(1, sigma, 1)], "remove", request(delta, rounding));

  test("there is no tilt where rounding does not matter", () => {
    expect(survey(1e-3, 1e-15).tiltFor(6).theta).toBe(0);
  });
  test("the tilt is the least that lifts delta above rounding", () => {
    const [delta, rounding, epsilon] = [1e-6, 1e-10, 10];
    const tilt = survey(delta, rounding).tiltFor(epsilon);
    const { theta } = tilt;
    // exp(K(theta) - theta epsilon) rounding = 1e-6 delta.
    expect(tilt.cumulant(0, theta) - theta * epsilon).toBeCloseTo(Math.log((1e-6 * delta) / rounding), 2);
    expect(theta).toBeGreaterThan(0);
    expect(theta).toBeLessThan((epsilon - mean) / std ** 2);
  });
  test("the tilt centres the loss where even that does not suffice", () => {
    expect(survey(1e-30, 1e-12).tiltFor(10).theta).toBeCloseTo((10 - mean) / std ** 2, 1);
  });
  test("the window ends where the tilted tails end", () => {
    const tilt = survey(1e-30, 1e-12).tiltFor(10);
    const centre = mean + tilt.theta * std ** 2;
    // A tail of exp(-x^2 / 2) weighs exp(K(theta) - 10 theta) as much against delta; a millionth is left.
    const weight = -0.5 * ((10 - mean) / std) ** 2;
    const reach = std * Math.sqrt(-2 * (Math.log(1e-6 * 1e-30) - weight));
    expect(tilt.high - centre).toBeCloseTo(reach, 1);
    expect(centre - tilt.low).toBeCloseTo(reach, 1);
    expect(tilt.above).toBeCloseTo(reach / std ** 2, 1);
    expect(tilt.below).toBeCloseTo(reach / std ** 2, 1);
  });
  test("without a tilt the window reaches out until a share of delta is left", () => {
    const tilt = survey(1e-4, 1e-15).tiltFor(6);
    const reach = std * Math.sqrt(-2 * Math.log(1e-10));
    expect(tilt.high - mean).toBeCloseTo(reach, 1);
    expect(mean - tilt.low).toBeCloseTo(reach, 1);
  });
});
