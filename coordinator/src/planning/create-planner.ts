import type { RankPlanSpec } from "@fedlora/core";

import { createCapabilityPlanner } from "./capability-planner.js";
import { createLegendPlanner } from "./legend-planner.js";
import type { PlannedRun, RankPlanner } from "./rank-planner.js";
import { createTiersPlanner } from "./tiers-planner.js";
import { createUniformPlanner } from "./uniform-planner.js";

/** The planner that a run spec names. */
export function createRankPlanner(spec: RankPlanSpec, run: PlannedRun): RankPlanner {
  switch (spec.kind) {
    case "uniform":
      return createUniformPlanner(run);
    case "capability":
      return createCapabilityPlanner(run);
    case "tiers":
      return createTiersPlanner(spec, run);
    case "legend":
      return createLegendPlanner(spec, run);
  }
}
