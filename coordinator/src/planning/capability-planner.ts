import { numLayers, powerOfTwo, topRanks } from "./module-ranks.js";
import type { ModuleRanks, PlannedDevice, PlannedRun, RankPlanner } from "./rank-planner.js";

/** Every client trains all layers, at the largest power of two that neither its own limit nor the module's rank is below. */
export function createCapabilityPlanner({ modules }: PlannedRun): RankPlanner {
  const depth = numLayers(modules);
  const ranksOf = ({ maxRank }: PlannedDevice): ModuleRanks | undefined =>
    topRanks(modules, depth, powerOfTwo(maxRank));
  return {
    kind: "capability",
    needsCapacity: false,
    plan: ({ devices }) => devices.map((device) => ({ ranks: ranksOf(device), depth, expectedMs: undefined })),
    evaluated: ranksOf,
  };
}
