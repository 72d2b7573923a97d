/** Values are close when |actual - expected| <= atol + rtol * |expected|, as in numpy's allclose. */
export interface Tolerance {
  /** Relative; default 1e-5. */
  readonly rtol?: number;
  /** Absolute; default 1e-8. */
  readonly atol?: number;
}

/** The element that is furthest beyond its tolerance. */
export interface WorstElement {
  readonly index: number;
  readonly actual: number;
  readonly expected: number;
  readonly difference: number;
  readonly allowed: number;
}

/**
 * The worst element of two lists of numbers of the same length, or undefined when all are close. A NaN is close to a NaN
 * alone, an infinity to itself alone.
 */
export function worstElement(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol = 1e-5, atol = 1e-8 }: Tolerance = {},
): WorstElement | undefined {
  let worst: WorstElement | undefined;
  let worstExcess = 0;
  for (let index = 0; index < expected.length; index += 1) {
    const [a, e] = [actual[index] ?? NaN, expected[index] ?? NaN];
    if (Object.is(a, e) || a === e) continue;
    const difference = Math.abs(a - e);
    const allowed = atol + rtol * Math.abs(e);
    const isFinite = Number.isFinite(difference) && Number.isFinite(e);
    const excess = isFinite ? difference - allowed : Infinity;
    if (excess > worstExcess) {
      worst = { index, actual: a, expected: e, difference, allowed };
      worstExcess = excess;
    }
  }
  return worst;
}

/**
 * A vitest matcher: `expect.extend({ toBeAllCloseTo })`, then `expect(values).toBeAllCloseTo(expected, { rtol })`. Its
 * message names the worst element, both values, the difference and what was allowed.
 */
export function toBeAllCloseTo(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance?: Tolerance,
): { pass: boolean; message: () => string } {
  if (actual.length !== expected.length) {
    return { pass: false, message: () => `got ${actual.length} values, expected ${expected.length}` };
  }
  const worst = worstElement(actual, expected, tolerance);
  if (worst === undefined) return { pass: true, message: () => "all values are close, expected one that is not" };
  const { index, difference, allowed } = worst;
  const message = `element ${index} is ${worst.actual}, expected ${worst.expected}: off by ${difference}, allowed ${allowed}`;
  return { pass: false, message: () => message };
}
