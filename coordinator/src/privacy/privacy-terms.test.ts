import type { RunSpecInput } from "@fedlora/core";
import type { ClientId } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import type { PresentClient } from "../rounds/presence.js";
import { countingBytes, testSpec } from "../testing/federation.js";
import { drawCohort } from "./cohort-draw.js";
import { eventsOf, planPrivacyOf, plannedCounts, sumNoise } from "./privacy-terms.js";
import { show } from "./settle-noise.js";

const shared = { delta: 1e-5, clipNorm: 2, noiseMultiplier: 1.5, metricsNoise: 3 };
const specOf = (privacy: RunSpecInput["privacy"], more: Partial<RunSpecInput> = {}) =>
  testSpec({ rounds: 5, evaluation: { every: 2 }, ...more, privacy });
const client = specOf({ mode: "client", ...shared, population: 8 });
const example = specOf(
  { mode: "example", ...shared, minExamples: 400 },
  { training: { localSteps: 7, batchSize: 20, gradientAccumulation: 2 } },
);
const local = specOf({ mode: "local", ...shared });
const counts = { training: 3, evaluation: 2 };

describe("what a unit has released", () => {
  const metrics = { mechanism: { kind: "gaussian", noiseMultiplier: 3 }, count: 2 };
  const sampled = (samplingRate: number) => ({ kind: "sampled-gaussian", noiseMultiplier: 1.5, samplingRate });

  test("is one draw of a cohort a round, a step at a time of its examples, or an upload", () => {
    expect(eventsOf(client, 1.5, counts)).toEqual([{ mechanism: sampled(2 / 8), count: 3 }, metrics]);
    expect(eventsOf(example, 1.5, counts)).toEqual([{ mechanism: sampled(40 / 400), count: 3 * 7 }, metrics]);
    expect(eventsOf(local, 1.5, counts)).toEqual([
      { mechanism: { kind: "gaussian", noiseMultiplier: 1.5 }, count: 3 },
      metrics,
    ]);
    expect(eventsOf(client, 1.5, { training: 0, evaluation: 0 })).toEqual([]);
  });

  test("is planned with every evaluation that is due", () => {
    // Rounds 2, 4 and the last.
    expect(plannedCounts(client)).toEqual({ training: 5, evaluation: 3 });
    expect(plannedCounts(specOf({ mode: "local", ...shared, metricsNoise: undefined }))).toEqual({
      training: 5,
      evaluation: 0,
    });
  });
});

test("clients are told the weighting's cap where they count by it", () => {
  const weighting = { kind: "by-examples", maxExamples: 50 } as const;
  const capped = specOf({ mode: "client", ...shared, population: 8 }, { weighting });
  expect(planPrivacyOf(capped, 1.5)).toMatchObject({ mode: "client", maxExamples: 50 });
  expect(planPrivacyOf(client, 1.5)).not.toHaveProperty("maxExamples");
});

test("the noise on a sum follows from its sensitivity, and leaves room for a count beside it", () => {
  expect(sumNoise(client, 1.5, 2)).toBe(3);
  const adaptive = specOf({
    mode: "client",
    ...shared,
    population: 8,
    clipping: { kind: "adaptive", countNoise: 5 },
  });
  expect(sumNoise(adaptive, 1, 1)).toBeCloseTo(1.0050378153, 10);
});

test("a cohort is drawn with its rate, whatever the order in which clients came", () => {
  const clients = Array.from({ length: 1000 }, (_, i) => ({ clientId: `c-${i}` as ClientId }) as PresentClient);
  const ids = (drawn: readonly PresentClient[]): string[] => drawn.map(({ clientId }) => clientId);
  const drawn = ids(drawCohort(clients, 0.3, countingBytes(4)));
  // A deviation of 14.5; five of them.
  expect(Math.abs(drawn.length - 300)).toBeLessThan(73);
  expect(ids(drawCohort([...clients].reverse(), 0.3, countingBytes(4)))).toEqual(drawn);
  expect(drawCohort(clients, 1, countingBytes(4))).toHaveLength(1000);
});

test("a shown epsilon is still a bound", () => {
  expect(show(1.23401)).toBe("1.235");
  expect(show(1.23499, "down")).toBe("1.234");
  expect(show(0.5)).toBe("0.5");
  expect(show(0)).toBe("0");
  expect(show(Infinity)).toBe("Infinity");
  expect(show(123456)).toBe("123500");
});
