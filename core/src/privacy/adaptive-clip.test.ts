import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { adaptedClipNorm, splitNoise, unclippedShare } from "./adaptive-clip.js";

// Golden values of a double-precision evaluation of Andrew et al. 2021 in Python, kept here since they are few.
const options = { learningRate: 0.2, quantile: 0.5 };

describe("an adaptive clip norm", () => {
  test.each([
    [0.25, 1.0512710964],
    [0.75, 0.9512294245],
    [0.5, 1],
  ])("of 1 with a share of %d unclipped becomes %d", (share, expected) => {
    expect(adaptedClipNorm(1, share, options)).toBeCloseTo(expected, 10);
  });

  test("grows while too many updates are clipped and falls while too few are, to the quantile", () => {
    const norms = Array.from({ length: 101 }, (_, i) => 1 + i / 100);
    for (const start of [0.01, 50]) {
      let clipNorm = start;
      for (let round = 0; round < 200; round++) {
        const unclipped = norms.filter((norm) => norm <= clipNorm).length;
        clipNorm = adaptedClipNorm(clipNorm, unclippedShare(unclipped, 101 - unclipped, 0, 101), options);
      }
      expect(clipNorm).toBeGreaterThan(1.45);
      expect(clipNorm).toBeLessThan(1.55);
    }
  });

  test("moves with what is missing as if half of it were clipped", () => {
    expect(unclippedShare(0, 0, 0, 8)).toBe(0.5);
    expect(unclippedShare(6, 2, 0, 8)).toBe(0.75);
    expect(unclippedShare(3, 1, 0, 8)).toBe(0.625);
    expect(unclippedShare(8, 0, 5, 8)).toBe(1);
    expect(unclippedShare(0, 8, -5, 8)).toBe(0);
  });
});

describe("the noise split", () => {
  test.each([
    [1, 5, 1.0050378153],
    [0.5, 1, 0.5163977795],
  ])("of %d with a count's noise of %d leaves %d for the updates", (z, countNoise, expected) => {
    expect(splitNoise(z, countNoise)).toBeCloseTo(expected, 10);
  });

  test.each([
    [1, 0.5],
    [2, 0.9],
    [1, 0],
    [0, 1],
  ])("of %d with a count's noise of %d is refused", (z, countNoise) => {
    expect(() => splitNoise(z, countNoise)).toThrow(
      expect.objectContaining({
        code: "privacy-invalid",
        message:
          `the noise on the count of unclipped updates, ${countNoise}, must be above half of the noise multiplier, ` +
          `${z} / 2: raise privacy.clipping.countNoise, or cohort.size, which it follows`,
        details: { field: "privacy.clipping.countNoise" },
      }),
    );
  });

  test("costs together what is accounted for", () => {
    const positive = fc.double({ min: 0.05, max: 50, noNaN: true });
    fc.assert(
      fc.property(positive, positive, (z, more) => {
        const countNoise = z / 2 + more;
        expect(splitNoise(z, countNoise) ** -2 + (2 * countNoise) ** -2).toBeCloseTo(z ** -2, 6);
      }),
    );
  });
});
