import type { BlobId, ClientId, ErrorCode, PlanId, RunId, RunSpec, UpdateMetrics } from "@fedlora/core";

import type { CapacityEstimate } from "../planning/capacity.js";
import type { RunNoise } from "../privacy/run-privacy.js";
import type { EvaluationResult } from "../service.js";

export interface BlobRef {
  readonly id: BlobId;
  /** Bytes. */
  readonly size: number;
}

/** A change of the base weights, from one version to the next. */
export interface BaseDeltaRef {
  readonly fromVersion: number;
  readonly toVersion: number;
  readonly blob: BlobRef;
}

/** What the run's rank plan gave a client, and the estimate that it was based on. */
export interface PlannedRanks {
  /** Adapted layers that it trains, counted from the output. */
  readonly depth: number;
  /** Of the modules that it trains. */
  readonly minRank: number;
  readonly maxRank: number;
  readonly totalRank: number;
  /** Time that the round is expected to take it, milliseconds; null: the plan does not look at time. */
  readonly expectedMs: number | null;
  /** Null: the plan needs none, or the client has sent no measurement. */
  readonly capacity: CapacityEstimate | null;
}

/** A plan as it was issued: what the client is told, and what its answer is held against. */
export interface IssuedPlan {
  readonly planId: PlanId;
  readonly clientId: ClientId;
  readonly instructions: BlobRef;
  /** What the client downloads of the global adapter. */
  readonly download: BlobRef;
  readonly frozen: readonly BlobRef[];
  /** Most bytes that the update's file may have; 0 for an evaluation. */
  readonly uploadBytes: number;
  /** L2 bound on the update; null: none. */
  readonly maxNorm: number | null;
  /** Factor on the weight of an update of the current round, from the method. */
  readonly weightFactor: number;
  /** Absent: the whole adapter, by a uniform rank plan or for an evaluation. */
  readonly ranks?: PlannedRanks | undefined;
}

/** What a committed round of a private run came to. */
export interface RoundPrivacy {
  /** Spent with this round, an upper bound. */
  readonly epsilon: number;
  /** What updates were clipped to. */
  readonly clipNorm: number;
  /** Of the next round. */
  readonly nextClipNorm: number;
  /** Share of updates that needed no clipping, with noise; absent where it is not released. */
  readonly unclippedShare?: number;
}

/** Why training ended: enough updates, no time left, or nobody left to wait for. */
export type CloseReason = "complete" | "deadline" | "unfilled";

interface Common {
  readonly runId: RunId;
  /** When it happened, milliseconds since the Unix epoch by the coordinator's clock. */
  readonly atMs: number;
  /** 0 before the first round. */
  readonly round: number;
}

interface OfPlan extends Common {
  readonly planId: PlanId;
  readonly clientId: ClientId;
}

/**
 * The facts of a run, as the journal keeps them. The meaning of one never changes; what is new gets a new type, and
 * `reducerVersion` counts up when the reducer reads an old one differently.
 */
export type RunEvent =
  | (Common & {
      readonly type: "run-created";
      readonly idempotencyKey: string;
      readonly spec: RunSpec;
      /** The adapter of round 0. */
      readonly adapter: BlobRef;
      /** What its initialisation took out of the base weights; absent: nothing. */
      readonly baseDelta?: BaseDeltaRef;
      /** Absent in a run without privacy. */
      readonly privacy?: RunNoise;
    })
  | (Common & {
      readonly type: "round-started";
      /** `method.phase` of this round. */
      readonly methodPhase: string;
      /** Plans to keep out or accepted: size x over-selection. */
      readonly wanted: number;
      readonly plans: readonly IssuedPlan[];
      /** In a private run: spent once the round is committed, which is reserved with this. */
      readonly reservedEpsilon?: number;
    })
  | (Common & { readonly type: "slot-refilled"; readonly plan: IssuedPlan })
  | (OfPlan & { readonly type: "plan-declined"; readonly code: string; readonly reason: string })
  | (OfPlan & { readonly type: "client-dropped"; readonly silentMs: number })
  | (OfPlan & { readonly type: "client-returned" })
  | (OfPlan & {
      readonly type: "update-accepted";
      readonly blobId: BlobId;
      readonly bytes: number;
      /** Null where it is no business of a journal: a release of mode `client`, before its noise. */
      readonly updateNorm: number | null;
      readonly metrics: UpdateMetrics;
      /** What the update counts with in the aggregation, before normalisation. */
      readonly weight: number;
    })
  | (OfPlan & { readonly type: "update-refused"; readonly code: ErrorCode; readonly message: string })
  | (Common & { readonly type: "round-closed"; readonly reason: CloseReason })
  /** The noise of the round is expanded from the secret of that name, whatever becomes of this process. */
  | (Common & { readonly type: "noise-key-drawn"; readonly secret: string })
  | (Common & {
      readonly type: "round-committed";
      readonly adapter: BlobRef;
      readonly methodState: BlobRef;
      readonly baseVersion: number;
      /** What led to this base version; absent when the round left the base weights alone. */
      readonly baseDelta?: BaseDeltaRef;
      /** The changes from version 0 to the base version before this round, as one; absent: they were not joined anew. */
      readonly joinedBase?: BaseDeltaRef;
      readonly methodMetrics: Readonly<Record<string, number>>;
      readonly bytesUp: number;
      readonly bytesDown: number;
      /** Absent in a run without privacy. */
      readonly privacy?: RoundPrivacy;
    })
  | (Common & {
      readonly type: "evaluation-started";
      readonly plans: readonly IssuedPlan[];
      /** As of `round-started`. */
      readonly reservedEpsilon?: number;
    })
  | (OfPlan & { readonly type: "evaluation-accepted"; readonly metrics: UpdateMetrics })
  | (Common & {
      readonly type: "round-evaluated";
      /** Null when nobody delivered. */
      readonly evaluation: EvaluationResult | null;
      /** Plans that brought nothing. */
      readonly missing: number;
      readonly bytesUp: number;
      readonly bytesDown: number;
    })
  | (Common & { readonly type: "run-stopped"; readonly idempotencyKey: string; readonly reason: string })
  | (Common & { readonly type: "run-resumed"; readonly idempotencyKey: string })
  | (Common & {
      readonly type: "run-completed";
      /** `budget`: a further round would have cost more than there is left. */
      readonly reason: "rounds" | "target" | "budget";
      /** With `budget`: what is spent and what is left. */
      readonly message?: string;
    })
  | (Common & { readonly type: "run-failed"; readonly code: ErrorCode; readonly message: string });

export type RunEventType = RunEvent["type"];

/** An event with its place in the journal. */
export type SequencedRunEvent = RunEvent & { readonly sequence: number };

export type RunEventOf<Type extends RunEventType> = Extract<SequencedRunEvent, { readonly type: Type }>;
