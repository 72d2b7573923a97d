import type { TiersPlanSpec } from "@fedlora/core";

import { numLayers, powerOfTwo, topRanks } from "./module-ranks.js";
import type { PlannedDevice, PlannedRun, RankPlanner } from "./rank-planner.js";

/** Every client trains what its declared class gets, within its own rank limit. */
export function createTiersPlanner(spec: TiersPlanSpec, { modules }: PlannedRun): RankPlanner {
  const layers = numLayers(modules);
  const tierOf = ({ deviceClass }: PlannedDevice): TiersPlanSpec["others"] =>
    Object.hasOwn(spec.classes, deviceClass) ? (spec.classes[deviceClass] ?? spec.others) : spec.others;
  const limitOf = (device: PlannedDevice): number | undefined => {
    const limits = [tierOf(device).rank, powerOfTwo(device.maxRank)].filter((limit) => limit !== undefined);
    return limits.length === 0 ? undefined : Math.min(...limits);
  };
  return {
    kind: "tiers",
    needsCapacity: false,
    plan: ({ devices }) =>
      devices.map((device) => {
        const depth = Math.min(layers, tierOf(device).depth ?? layers);
        return { ranks: topRanks(modules, depth, limitOf(device)), depth, expectedMs: undefined };
      }),
    evaluated: (device) => topRanks(modules, layers, limitOf(device)),
  };
}
