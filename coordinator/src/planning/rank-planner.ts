import type { ClientId, ResolvedModule } from "@fedlora/core";

import type { CapacityEstimate } from "./capacity.js";

/** Rank of each adapted module that a client trains, by name; a module that is missing is not trained. */
export type ModuleRanks = Readonly<Record<string, number>>;

/** What a planner may know of one client. */
export interface PlannedDevice {
  readonly clientId: ClientId;
  /** The client's own limit; undefined: none. */
  readonly maxRank: number | undefined;
  /** The class that it declares; empty: none. */
  readonly deviceClass: string;
  /** What its measurements come to; undefined: it sent none. */
  readonly capacity: CapacityEstimate | undefined;
}

/** What one client trains in a round. */
export interface RankPlan {
  /** Undefined: the whole adapter. */
  readonly ranks: ModuleRanks | undefined;
  /** Adapted layers that are trained, counted from the output. */
  readonly depth: number;
  /** Time that the round is expected to take this client, in milliseconds; undefined: this plan does not look at time. */
  readonly expectedMs: number | undefined;
}

export interface PlanRequest {
  /** Clients that get a plan now; each planner's answer has one entry per device, in their order. */
  readonly devices: readonly PlannedDevice[];
  /** Longest expected time of the plans that are out in this round already, in milliseconds; undefined: none is. */
  readonly longestMs: number | undefined;
}

/** What is fixed for a run. */
export interface PlannedRun {
  /** Adapted modules in the order of the model's manifest; at least one. */
  readonly modules: readonly ResolvedModule[];
  /** Batches of a client's round where the run spec says it (local steps x accumulated batches); undefined: it follows from the data. */
  readonly batchesPerRound: number | undefined;
  /** Bytes that a client with these ranks sends, by the method's closed form. */
  readonly uploadBytes: (ranks: ModuleRanks | undefined) => number;
}

/**
 * Decides which layers and ranks the clients of a round train. A pure function of the run, the clients and their journaled
 * estimates: no clock, no chance, and the order of the devices does not matter. Every implementation passes
 * `rank-planner-contract.ts`.
 */
export interface RankPlanner {
  /** `rankPlan.kind` of the run spec. */
  readonly kind: string;
  /** Whether estimates of the clients' capacity are kept for it. */
  readonly needsCapacity: boolean;
  plan(request: PlanRequest): readonly RankPlan[];
  /** The ranks at which a client holds the whole adapter, for evaluations; undefined: in full. */
  evaluated(device: PlannedDevice): ModuleRanks | undefined;
}
