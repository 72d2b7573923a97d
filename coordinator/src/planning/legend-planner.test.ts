import type { ClientId, LegendPlanSpec } from "@fedlora/core";
import { rankPlanSchema } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import type { CapacityEstimate } from "./capacity.js";
import { createLegendPlanner } from "./legend-planner.js";
import type { PlannedDevice } from "./rank-planner.js";
import { plainUploadBytes, testModules } from "./testing/rank-planner-contract.js";

interface Golden {
  readonly run: { layers: number; width: number; batches: number; ranks: number[]; memoryShare: number };
  readonly devices: (Omit<CapacityEstimate, "batches" | "isOwn"> & { readonly id: string })[];
  readonly plans: { bound: object; depths: number[]; expectedMs: number[] }[];
}
const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/legend/golden.json", import.meta.url), "utf8"),
) as Golden;

const legend = (options: object = {}): LegendPlanSpec =>
  rankPlanSchema.parse({ kind: "legend", ...options }) as LegendPlanSpec;
const plannedRun = (layers: number, width: number, ranks: readonly number[], batchesPerRound: number | undefined) => {
  const modules = testModules(layers, width, ranks);
  return { modules, batchesPerRound, uploadBytes: plainUploadBytes(modules) };
};
const capacity = (changes: Partial<CapacityEstimate> = {}): CapacityEstimate => ({
  forwardMs: 10,
  layerMs: 2,
  batches: null,
  uploadMsPerByte: null,
  memoryBytes: null,
  forwardBytes: null,
  layerBytes: null,
  isOwn: true,
  ...changes,
});
const device = (clientId: string, known?: CapacityEstimate, maxRank?: number): PlannedDevice => ({
  clientId: clientId as ClientId,
  maxRank,
  deviceClass: "",
  capacity: known,
});

describe("six boards, against an exhaustive search", () => {
  const { layers, width, batches, ranks, memoryShare } = golden.run;
  test.each(golden.plans)("$bound", ({ bound, depths, expectedMs }) => {
    const devices = golden.devices.map(({ id, ...known }) => device(id, { ...capacity(), ...known }));
    for (const batchesPerRound of [batches, undefined]) {
      const planner = createLegendPlanner(
        legend({ ...bound, memoryShare }),
        plannedRun(layers, width, ranks, batchesPerRound),
      );
      const asked = devices.map((each) => ({ ...each, capacity: { ...each.capacity!, batches } }));
      const plans = planner.plan({ devices: asked, longestMs: undefined });
      expect(plans.map(({ depth }) => depth)).toEqual(depths);
      plans.forEach((plan, index) => expect(plan.expectedMs).toBeCloseTo(expectedMs[index]!, 6));
    }
  });
});

const run = plannedRun(4, 8, [1, 2, 3, 4], 1);

test("what nobody has measured limits nobody; memory does all the same", () => {
  const planner = createLegendPlanner(legend(), run);
  const plans = planner.plan({ devices: [device("a"), device("b")], longestMs: undefined });
  expect(plans).toEqual([1, 2].map(() => ({ ranks: undefined, depth: 4, expectedMs: undefined })));
  const small = capacity({ memoryBytes: 1000, forwardBytes: 300, layerBytes: 200 });
  const [plan] = planner.plan({ devices: [device("a", small)], longestMs: undefined });
  expect(plan).toMatchObject({ depth: 2 });
  const tiny = capacity({ memoryBytes: 100, forwardBytes: 300, layerBytes: 200 });
  expect(planner.plan({ devices: [device("a", tiny)], longestMs: undefined })[0]).toMatchObject({ depth: 1 });
});

test("a client without measurements counts as the mean of the others", () => {
  const planner = createLegendPlanner(legend({ maxWaitShare: 1 }), run);
  const slow = capacity({ forwardMs: 30, layerMs: 6, uploadMsPerByte: 0.5 });
  const [, , unknown] = planner.plan({
    devices: [device("a", capacity()), device("b", slow), device("c")],
    longestMs: undefined,
  });
  const bytes = 4 * (1 + 2 + 3 + 4) * 2 * 16;
  expect(unknown?.expectedMs).toBeCloseTo(20 + 4 * 4 + 0.5 * bytes, 9);
});

test("who fills a free slot gets what fits into the round's longest time", () => {
  const planner = createLegendPlanner(legend(), run);
  const depthAt = (longestMs: number): number =>
    planner.plan({ devices: [device("a", capacity())], longestMs })[0]!.depth;
  expect([5, 12, 13.9, 14, 16, 100].map(depthAt)).toEqual([1, 1, 1, 2, 3, 4]);
});

test("a device's own rank limit cuts ranks, not depth", () => {
  const [plan] = createLegendPlanner(legend(), run).plan({
    devices: [device("a", capacity(), 3)],
    longestMs: undefined,
  });
  expect(plan?.depth).toBe(4);
  expect([...new Set(Object.values(plan!.ranks!))]).toEqual([1, 2]);
});
