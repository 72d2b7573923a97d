import fc from "fast-check";
import { expect, test } from "vitest";
import { mergeEvents } from "./check-events.js";
import type { PrivacyEvent } from "./privacy-event.js";

const sampled = (samplingRate: number, noiseMultiplier: number, count: number): PrivacyEvent => ({
  mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier },
  count,
});
const plain = (noiseMultiplier: number, count: number): PrivacyEvent => ({
  mechanism: { kind: "gaussian", noiseMultiplier },
  count,
});

test("in whatever order events come, they are merged by their settings: by rising rate, then by rising noise", () => {
  const events = [
    sampled(0.1, 2, 1),
    plain(2, 3),
    sampled(0.01, 3, 5),
    sampled(0.1, 1, 2),
    sampled(0.1, 2, 4),
    sampled(0, 2, 100),
    sampled(0.05, 0.7, 1),
    sampled(1, 4, 8),
    sampled(0.1, 1.5, 6),
  ];
  const merged = {
    sampled: [
      { samplingRate: 0.01, noiseMultiplier: 3, count: 5 },
      { samplingRate: 0.05, noiseMultiplier: 0.7, count: 1 },
      { samplingRate: 0.1, noiseMultiplier: 1, count: 2 },
      { samplingRate: 0.1, noiseMultiplier: 1.5, count: 6 },
      { samplingRate: 0.1, noiseMultiplier: 2, count: 5 },
    ],
    // 3 / 2^2 + 8 / 4^2
    gaussianPrecision: 1.25,
    unbounded: [],
  };

  fc.assert(
    fc.property(fc.shuffledSubarray(events, { minLength: events.length }), (shuffled) => {
      expect(mergeEvents(shuffled)).toEqual(merged);
    }),
  );
});

test("why no epsilon is finite is told once for each reason", () => {
  const unbounded = (reason: string): PrivacyEvent => ({ mechanism: { kind: "unbounded", reason }, count: 1 });

  expect(mergeEvents([unbounded("a"), unbounded("b"), unbounded("a"), plain(0, 1)]).unbounded).toEqual([
    "a",
    "b",
    "a release without noise",
  ]);
});

test("what is refused is refused as privacy-invalid", () => {
  expect(() => mergeEvents([sampled(2, 1, 1)])).toThrow(
    expect.objectContaining({ code: "privacy-invalid", message: "sampling rate 2 must be in [0, 1]" }),
  );
});
