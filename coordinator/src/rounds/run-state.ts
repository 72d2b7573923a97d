import type { BlobId, ClientId, PlanId, PlanKind, RunId, RunSpec, UpdateMetrics } from "@fedlora/core";

import type { CapacityEstimate } from "../planning/capacity.js";
import type { RunPrivacy } from "../privacy/run-privacy.js";
import type { EvaluationResult, RoundPhase, RunState } from "../service.js";
import type { BaseDeltaRef, BlobRef, CloseReason, IssuedPlan, RoundPrivacy } from "./run-events.js";

/**
 * Counts up when the state changes its shape or the reducer would make another one of the same events: of another version's snapshots
 * only the last commit is used. 2: snapshots hold it. 3: base deltas, plans that outlive their round.
 * 4: joined base deltas. 5: estimates of the clients' capacity. 6: privacy.
 */
export const reducerVersion = 6;

export interface Acceptance {
  /** Journal sequence; what the receipt names. */
  readonly sequence: number;
  /** Empty for an evaluation. */
  readonly blobId: BlobId | "";
  readonly bytes: number;
  readonly metrics: UpdateMetrics;
  readonly weight: number;
}

/** A plan of the stage that is going on. A dropped one may still deliver while its round trains. */
export interface PlanState extends IssuedPlan {
  readonly kind: PlanKind;
  /** The round that it was issued in. */
  readonly round: number;
  readonly status: "open" | "accepted" | "declined" | "dropped";
  readonly refusals: number;
  readonly acceptance: Acceptance | null;
}

/** What is left of a plan when its stage is over: enough to answer a client that asks once more. */
export interface PastPlan {
  readonly clientId: ClientId;
  readonly round: number;
  readonly sequence: number | null;
  readonly blobId: BlobId | "";
}

export interface RoundRecord {
  readonly round: number;
  readonly startedMs: number;
  readonly committedMs: number;
  readonly closeReason: CloseReason;
  readonly planned: number;
  readonly accepted: number;
  readonly refused: number;
  readonly declined: number;
  readonly dropouts: number;
  readonly trainLoss: number | null;
  readonly evaluation: EvaluationResult | null;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly adapter: BlobRef;
  /** Version of the base weights that the adapter belongs to. */
  readonly baseVersion: number;
  readonly instructions: BlobRef;
  readonly methodMetrics: Readonly<Record<string, number>>;
  /** Update blobs that the run keeps; empty unless `keepUpdates`. */
  readonly keptUpdates: readonly BlobId[];
  /** Null in a run without privacy. */
  readonly privacy: RoundPrivacy | null;
}

/** Everything about a run that outlives the process; a plain JSON value, made by `reduce` alone. */
export interface RunMachineState {
  readonly runId: RunId;
  readonly spec: RunSpec;
  readonly createdMs: number;
  /** Idempotency key of the write that created it. */
  readonly createKey: string;
  readonly status: RunState;
  readonly phase: RoundPhase;
  /** In words: why it waits, stopped or failed; empty when there is nothing to say. */
  readonly reason: string;
  /** The round that is going on, or the last one. */
  readonly round: number;
  /** Counts the resumptions, so that what was begun before one is not taken for what comes after. */
  readonly attempt: number;
  /** End of the present wait; null when it has none. */
  readonly deadlineAtMs: number | null;
  /** When the present phase began. */
  readonly phaseSinceMs: number;
  readonly roundStartedMs: number;
  readonly methodPhase: string;
  readonly wanted: number;
  readonly closeReason: CloseReason | null;
  readonly plans: Readonly<Record<PlanId, PlanState>>;
  /**
   * Training plans that outlived their round (policy `buffered`): answered or not, they join the next round's when that
   * begins. Empty while a round trains.
   */
  readonly carried: Readonly<Record<PlanId, PlanState>>;
  readonly pastPlans: Readonly<Record<PlanId, PastPlan>>;
  readonly initialAdapter: BlobRef;
  /** The global adapter after the last commit. */
  readonly adapter: BlobRef;
  /** Null: the method's initial state. */
  readonly methodState: BlobRef | null;
  readonly baseVersion: number;
  /** Changes of the base weights, oldest first: without gaps from version 0 to `baseVersion`, what every plan names. */
  readonly baseDeltas: readonly BaseDeltaRef[];
  /** The first of them as one, kept for the time when the chain gets too long; null: none were joined yet. */
  readonly joinedBase: BaseDeltaRef | null;
  /** The chain that `bestRound` counts on, which later joins leave alone. */
  readonly bestBaseDeltas: readonly BaseDeltaRef[];
  readonly rounds: readonly RoundRecord[];
  /** Round with the best evaluation so far; 0: none was evaluated. */
  readonly bestRound: number;
  /** The last round that each client was given a plan in. */
  readonly participants: Readonly<Record<ClientId, number>>;
  /** What the rank plan knows of each client's speed and memory; empty where it needs none. */
  readonly capacities: Readonly<Record<ClientId, CapacityEstimate>>;
  /** Null in a run without privacy. */
  readonly privacy: RunPrivacy | null;
  /** Idempotency keys of the latest admin writes. */
  readonly writeKeys: readonly string[];
  /** Of the last event that was applied. */
  readonly sequence: number;
}

/** A spec as an earlier build journaled it, with the defaults of fields that it did not know. */
export function completeSpec(spec: RunSpec): RunSpec {
  return { ...spec, privacy: (spec as Partial<RunSpec>).privacy ?? { mode: "none" } };
}

/** How many plans `pastPlans` remembers at most. */
export const maxPastPlans = 5000;
export const maxWriteKeys = 100;

export function plansOf(state: RunMachineState): readonly PlanState[] {
  return Object.values(state.plans);
}

/** The plan of that id while it is not over. */
export function livePlan(state: RunMachineState, planId: PlanId): PlanState | undefined {
  return state.plans[planId] ?? state.carried[planId];
}

/** Plans that are not over, of this stage and carried ones. */
export function livePlans(state: RunMachineState): readonly PlanState[] {
  return [...Object.values(state.plans), ...Object.values(state.carried)];
}

export function acceptedPlans(state: RunMachineState): readonly (PlanState & { readonly acceptance: Acceptance })[] {
  return plansOf(state).filter(
    (plan): plan is PlanState & { readonly acceptance: Acceptance } => plan.acceptance !== null,
  );
}

/** Updates that end a round: the cohort's size, or the buffer's; of a cohort that was drawn by chance, all of its own. */
export function updatesPerRound({ spec: { cohort, policy, privacy }, wanted }: RoundTerms): number {
  if (privacy.mode === "client") return wanted;
  return policy.kind === "buffered" ? policy.bufferSize : cohort.size;
}

/** Clients to draw a round's cohort from. */
export function clientsNeeded({ cohort, privacy }: RunSpec): number {
  return privacy.mode === "client" ? privacy.population : cohort.size;
}

type RoundTerms = Pick<RunMachineState, "spec" | "wanted">;

/**
 * Updates needed at the deadline: the spec's quorum, by default half of those that end a round, rounded up. None of a cohort that
 * was drawn by chance: what it releases is due whoever is in it.
 */
export function quorumOf(state: RoundTerms): number {
  const { spec } = state;
  if (spec.privacy.mode === "client") return 0;
  const wanted = updatesPerRound(state);
  return Math.min(wanted, spec.cohort.quorum ?? Math.ceil(wanted / 2));
}

/** In a private run only with noise on what is measured: without, it would be a release that nobody accounts for. */
export function isEvaluationDue({ evaluation: { every }, privacy, rounds }: RunSpec, round: number): boolean {
  if (privacy.mode !== "none" && privacy.metricsNoise === undefined) return false;
  return every > 0 && (round % every === 0 || round === rounds);
}

/** Blobs that the run needs, now or for a restart. */
export function* referencedBlobs(state: RunMachineState): Iterable<BlobId> {
  yield state.initialAdapter.id;
  yield state.adapter.id;
  if (state.methodState !== null) yield state.methodState.id;
  for (const { blob } of [...state.baseDeltas, ...state.bestBaseDeltas]) yield blob.id;
  if (state.joinedBase !== null) yield state.joinedBase.blob.id;
  for (const { adapter, instructions, keptUpdates } of state.rounds) {
    yield adapter.id;
    yield instructions.id;
    yield* keptUpdates;
  }
  for (const { instructions, download, frozen, acceptance } of livePlans(state)) {
    yield instructions.id;
    yield download.id;
    for (const { id } of frozen) yield id;
    if (acceptance !== null && acceptance.blobId !== "") yield acceptance.blobId;
  }
}
