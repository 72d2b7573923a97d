import type { ClientId } from "@fedlora/core";
import { runSpecSchema } from "@fedlora/core";
import { expect, test } from "vitest";

import { testSpec } from "../testing/federation.js";
import { createRankPlanner } from "./create-planner.js";
import type { PlannedDevice } from "./rank-planner.js";
import { describeRankPlanner, plainUploadBytes, testModules } from "./testing/rank-planner-contract.js";

const specs = {
  uniform: { kind: "uniform" },
  capability: { kind: "capability" },
  tiers: {
    kind: "tiers",
    classes: { phone: { rank: 3, depth: 2 }, laptop: { depth: 4 } },
    others: { rank: 4 },
  },
  legend: { kind: "legend" },
} as const;
const compiled = (kind: keyof typeof specs) => testSpec({ method: { name: "legend" }, rankPlan: specs[kind] }).rankPlan;

test("every kind of rank plan is under the contract", () => {
  const kinds = runSpecSchema.shape.rankPlan.unwrap().options.map(({ shape }) => shape.kind.value);
  expect(Object.keys(specs)).toEqual(kinds);
});

for (const kind of Object.keys(specs) as (keyof typeof specs)[]) {
  describeRankPlanner(kind, (run) => createRankPlanner(compiled(kind), run));
  describeRankPlanner(`${kind}, fixed steps`, (run) =>
    createRankPlanner(compiled(kind), { ...run, batchesPerRound: 3 }),
  );
}
describeRankPlanner("legend, stragglers set aside", (run) =>
  createRankPlanner(
    testSpec({
      method: { name: "legend" },
      rankPlan: { kind: "legend", stragglers: "set-aside", minDepth: 2, maxWaitMs: 5 },
    }).rankPlan,
    run,
  ),
);

const modules = testModules(4, 8, [2, 4, 6, 8]);
const run = { modules, batchesPerRound: undefined, uploadBytes: plainUploadBytes(modules) };
const device = (changes: Partial<PlannedDevice> = {}): PlannedDevice => ({
  clientId: "c" as ClientId,
  maxRank: undefined,
  deviceClass: "",
  capacity: undefined,
  ...changes,
});
const one = (kind: keyof typeof specs, changes: Partial<PlannedDevice>) =>
  createRankPlanner(compiled(kind), run).plan({ devices: [device(changes)], longestMs: undefined })[0];
const at = (...ranks: number[]): Record<string, number> =>
  Object.fromEntries(modules.slice(-2 * ranks.length).map(({ name }, index) => [name, ranks[Math.floor(index / 2)]!]));

test("by capability: powers of two within the client's limit", () => {
  expect(one("capability", { maxRank: 5 })).toMatchObject({ ranks: at(2, 4, 4, 4), depth: 4 });
  expect(one("capability", { maxRank: 8 })).toMatchObject({ ranks: undefined, depth: 4 });
  expect(one("capability", {})).toMatchObject({ ranks: undefined, depth: 4 });
});

test("by tiers: depth and rank of the declared class, those of the others for any other word", () => {
  expect(one("tiers", { deviceClass: "phone" })).toMatchObject({ ranks: at(3, 3), depth: 2 });
  expect(one("tiers", { deviceClass: "phone", maxRank: 2 })).toMatchObject({ ranks: at(2, 2) });
  expect(one("tiers", { deviceClass: "laptop" })).toMatchObject({ ranks: undefined, depth: 4 });
  for (const deviceClass of ["", "fridge", "constructor"]) {
    expect(one("tiers", { deviceClass })).toMatchObject({ ranks: at(2, 4, 4, 4), depth: 4 });
  }
});
