import { numLayers } from "./module-ranks.js";
import type { PlannedRun, RankPlanner } from "./rank-planner.js";

/** Every client trains the whole adapter. */
export function createUniformPlanner({ modules }: PlannedRun): RankPlanner {
  const whole = { ranks: undefined, depth: numLayers(modules), expectedMs: undefined };
  return {
    kind: "uniform",
    needsCapacity: false,
    plan: ({ devices }) => devices.map(() => whole),
    evaluated: () => undefined,
  };
}
