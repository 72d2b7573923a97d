import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ComposedLoss } from "./compose.js";
import { lowerEpsilon, upperEpsilon } from "./read-epsilon.js";

const step = 0.25;
const theta = 0.5;
/** Masses at the points from `window` on, tilted as compose leaves them. */
function composed(window: number, masses: readonly number[], change: Partial<ComposedLoss> = {}): ComposedLoss {
  const size = masses.length;
  const logScale = 0.8;
  const folded = new Float64Array(size);
  masses.forEach((mass, i) => {
    const point = window + i;
    folded[((point % size) + size) % size] = mass * Math.exp(theta * step * point - logScale);
  });
  return {
    masses: folded,
    window,
    logScale,
    offset: 0,
    noise: 0,
    logBelow: Number.NEGATIVE_INFINITY,
    logAbove: Number.NEGATIVE_INFINITY,
    ...change,
  };
}
/** The sum over losses above epsilon of mass (1 - exp(epsilon - loss)). */
const delta = (window: number, masses: readonly number[], epsilon: number, offset = 0): number =>
  masses.reduce((sum, mass, i) => sum + mass * Math.max(0, -Math.expm1(epsilon - (window + i) * step - offset)), 0);
const request = (target: number) => ({ theta, step, delta: target });

describe("the epsilon of a divergence", () => {
  test("is where the divergence is delta, for either side", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -20, max: 0 }),
        fc.array(fc.double({ min: 1e-4, max: 1, noNaN: true }), { minLength: 32, maxLength: 32 }),
        fc.double({ min: 0.02, max: 2.9, noNaN: true }),
        fc.double({ min: 0, max: 0.24, noNaN: true }),
        (window, masses, epsilon, offset) => {
          const target = delta(window, masses, epsilon, offset);
          fc.pre(target > 1e-6);
          const loss = composed(window, masses, { offset });
          expect(upperEpsilon(loss, 0, request(target))).toBeCloseTo(epsilon, 8);
          expect(lowerEpsilon(loss, request(target))).toBeCloseTo(epsilon, 8);
        },
      ),
    );
  });

  const window = -4;
  const masses = [0, 0, 0, 0.1, 0.3, 0.2, 0.2, 0.1, 0.05, 0.03, 0.02, 0];
  test("is 0 where delta is reached at once", () => {
    expect(upperEpsilon(composed(window, masses), 0, request(0.5))).toBe(0);
    expect(lowerEpsilon(composed(window, masses), request(0.5))).toBe(0);
  });
  test("is 0 exactly where the divergence at 0 is delta", () => {
    expect(upperEpsilon(composed(window, masses), 0, request(delta(window, masses, 0) * 1.0001))).toBe(0);
    expect(upperEpsilon(composed(window, masses), 0, request(delta(window, masses, 0) * 0.9999))).toBeGreaterThan(0);
  });

  test("rises by what counts against it above, falls by what counts below", () => {
    const target = delta(window, masses, 0.8);
    const with5 = request(target);
    // Mass at an infinite loss.
    expect(upperEpsilon(composed(window, masses), 0.01, with5)).toBeCloseTo(
      upperEpsilon(composed(window, masses), 0, request(target - 0.01)),
      10,
    );
    // Mass above the window, from its tilted bound.
    const logAbove = Math.log(0.01) - 0.8 + theta * (window + masses.length) * step;
    expect(upperEpsilon(composed(window, masses, { logAbove }), 0, with5)).toBeCloseTo(
      upperEpsilon(composed(window, masses), 0.01, with5),
      10,
    );
    // Rounding, at each point.
    const noise = 1e-3;
    const raised = masses.map((mass, i) => mass + noise * Math.exp(0.8 - theta * step * (window + i)));
    expect(upperEpsilon(composed(window, masses, { noise }), 0, with5)).toBeCloseTo(
      upperEpsilon(composed(window, raised), 0, with5),
      10,
    );
    const lowered = masses.map((mass, i) => Math.max(0, mass - noise * Math.exp(0.8 - theta * step * (window + i))));
    expect(lowerEpsilon(composed(window, masses, { noise }), with5)).toBeCloseTo(
      lowerEpsilon(composed(window, lowered), with5),
      10,
    );
    // Folded mass, at the lower end of the lattice's cell.
    for (const change of [{ logBelow: Math.log(1e-3) }, { logAbove: Math.log(1e-3) }]) {
      const found = lowerEpsilon(composed(window, masses, change), with5);
      const cell = Math.floor(found / step) * step;
      const counted = target + 1e-3 * Math.exp(0.8 - theta * cell);
      expect(delta(window, masses, found)).toBeCloseTo(counted, 8);
    }
  });

  test("is found below the window's first point, down to the next one", () => {
    const target = delta(4, [0.5, 0, 0, 0], 0.9);
    expect(upperEpsilon(composed(4, [0.5, 0, 0, 0]), 0, request(target))).toBeCloseTo(0.9, 10);
    expect(lowerEpsilon(composed(4, [0.5, 0, 0, 0]), request(target))).toBeCloseTo(0.9, 10);
  });

  test("is 0, not unknown, where the window reaches 0 and delta is not reached", () => {
    for (const from of [-2, 0]) expect(upperEpsilon(composed(from, [0, 0, 0.01, 0]), 0, request(0.1))).toBe(0);
  });

  test("is unknown where the window does not decide", () => {
    // Mass at an infinite loss leaves no room, whatever mass lies within the window.
    expect(upperEpsilon(composed(-1, [0.1, 0.2, 0.3]), 0.2, request(0.1))).toBe(Number.POSITIVE_INFINITY);
    expect(upperEpsilon(composed(-1, [0.1, 0.2, 0.3]), 0.1, request(0.1))).toBe(Number.POSITIVE_INFINITY);
    // All mass at an infinite loss, or all below the window.
    expect(upperEpsilon(composed(window, masses), 0.2, request(0.1))).toBe(Number.POSITIVE_INFINITY);
    expect(upperEpsilon(composed(4, [0, 0, 1e-9, 0]), 0, request(0.1))).toBe(Number.POSITIVE_INFINITY);
    expect(lowerEpsilon(composed(4, [0, 0, 1e-9, 0]), request(0.1))).toBe(0);
  });
});
