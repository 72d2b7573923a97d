import type { MethodRunState } from "@fedlora/aggregators";
import type { ClientId } from "@fedlora/core";

import { foldCapacity } from "../planning/capacity.js";
import { createRankPlanner } from "../planning/create-planner.js";
import type { ModuleRanks, PlannedDevice, RankPlan, RankPlanner } from "../planning/rank-planner.js";
import type { PresentClient } from "./presence.js";
import type { RunContext } from "./run-context.js";
import type { PlannedRanks } from "./run-events.js";
import { plansOf } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

export interface ClientRanks {
  readonly client: PresentClient;
  /** Undefined: the whole adapter. */
  readonly ranks: ModuleRanks | undefined;
  /** To be journaled with the plan; undefined: nothing was planned. */
  readonly facts: PlannedRanks | undefined;
}

/** The run's rank plan in one round: the planner, and what its devices' measurements come to. */
export class RankPlanning {
  readonly #context: RunContext;
  readonly #planner: RankPlanner;

  constructor(context: RunContext, methodState: MethodRunState, methodPhase: string) {
    this.#context = context;
    const { spec, adapter, method } = context;
    const { localSteps, gradientAccumulation } = spec.training;
    const anyone = { clientId: "" as ClientId, maxRank: undefined, directives: [], codecs: [] };
    this.#planner = createRankPlanner(spec.rankPlan, {
      modules: adapter.modules,
      batchesPerRound: localSteps === undefined ? undefined : localSteps * gradientAccumulation,
      uploadBytes: (ranks) => method.bytes(method.prepare(methodPhase, methodState, { ...anyone, ranks })).up,
    });
  }

  /** What a client would train if it were the only one: whether it can at all does not depend on the others. */
  ranksAlone(client: PresentClient): ModuleRanks | undefined {
    return this.#planner.plan({ devices: [deviceOf(client)], longestMs: undefined })[0]?.ranks;
  }

  /** Training plans, in the order of the clients. */
  plan(state: RunMachineState, clients: readonly PresentClient[]): readonly ClientRanks[] {
    const devices = clients.map((client) => deviceOf(client, this.#capacityOf(state, client)));
    const plans = this.#planner.plan({ devices, longestMs: longestMs(state) });
    return clients.map((client, index) => {
      const plan = plans[index];
      const facts = plan && this.#planner.kind !== "uniform" ? this.#factsOf(plan, devices[index]) : undefined;
      return { client, ranks: plan?.ranks, facts };
    });
  }

  evaluated(clients: readonly PresentClient[]): readonly ClientRanks[] {
    return clients.map((client) => ({ client, ranks: this.#planner.evaluated(deviceOf(client)), facts: undefined }));
  }

  #capacityOf({ runId, capacities, spec }: RunMachineState, client: PresentClient): PlannedDevice["capacity"] {
    if (!this.#planner.needsCapacity || spec.rankPlan.kind !== "legend") return undefined;
    const { smoothing } = spec.rankPlan;
    const batchTokens = spec.training.batchSize * spec.task.maxTokens;
    return foldCapacity(capacities[client.clientId], client.capability, { runId, smoothing, batchTokens });
  }

  #factsOf({ ranks, depth, expectedMs }: RankPlan, device: PlannedDevice | undefined): PlannedRanks {
    const { modules } = this.#context.adapter;
    const held = ranks === undefined ? modules.map(({ rank }) => rank) : Object.values(ranks);
    return {
      depth,
      minRank: Math.min(...held),
      maxRank: Math.max(...held),
      totalRank: held.reduce((sum, rank) => sum + rank, 0),
      expectedMs: expectedMs ?? null,
      capacity: device?.capacity ?? null,
    };
  }
}

function deviceOf({ clientId, capability }: PresentClient, capacity?: PlannedDevice["capacity"]): PlannedDevice {
  const { maxRank, deviceClass = "" } = capability;
  return { clientId, maxRank, deviceClass, capacity };
}

/** Of the plans that are out in this round or were answered. */
function longestMs(state: RunMachineState): number | undefined {
  const times = plansOf(state).flatMap(({ status, ranks }) =>
    status === "open" || status === "accepted" ? (ranks?.expectedMs ?? []) : [],
  );
  return times.length === 0 ? undefined : Math.max(...times);
}
