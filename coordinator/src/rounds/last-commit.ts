import { z } from "zod";

import type { RunPrivacy } from "../privacy/run-privacy.js";
import type { BlobRef } from "./run-events.js";
import { selectNext } from "./reduce-evaluation.js";
import { retirePlans } from "./reduce-plans.js";
import { completeSpec } from "./run-state.js";
import type { PastPlan, RoundRecord, RunMachineState } from "./run-state.js";

const blobRefSchema = z.object({ id: z.string(), size: z.number() });

const baseDeltaSchema = z.object({ fromVersion: z.int(), toVersion: z.int(), blob: blobRefSchema });

const evaluationSchema = z.object({
  count: z.number(),
  loss: z.number(),
  accuracy: z.number().optional(),
  f1: z.number().optional(),
  confusion: z.array(z.number()),
});

const roundSchema = z.object({
  round: z.int(),
  startedMs: z.number(),
  committedMs: z.number(),
  closeReason: z.string(),
  planned: z.number(),
  accepted: z.number(),
  refused: z.number(),
  declined: z.number(),
  dropouts: z.number(),
  trainLoss: z.number().nullable(),
  evaluation: evaluationSchema.nullable(),
  bytesUp: z.number(),
  bytesDown: z.number(),
  adapter: blobRefSchema,
  baseVersion: z.int().default(0),
  instructions: blobRefSchema,
  methodMetrics: z.record(z.string(), z.number()),
  keptUpdates: z.array(z.string()),
  privacy: z
    .object({
      epsilon: z.number(),
      clipNorm: z.number(),
      nextClipNorm: z.number(),
      unclippedShare: z.number().optional(),
    })
    .nullable()
    .default(null),
});

const countsSchema = z.object({ training: z.int(), evaluation: z.int() });

/** Without the secret's name: a round that begins again draws another. */
const privacySchema = z.object({
  noiseMultiplier: z.number(),
  isNoiseSolved: z.boolean(),
  clipNorm: z.number(),
  spent: z.record(z.string(), countsSchema),
  settled: countsSchema,
});

const pastPlanSchema = z.object({
  clientId: z.string(),
  round: z.int(),
  sequence: z.int().nullable(),
  blobId: z.string(),
});

const capacitySchema = z.object({
  forwardMs: z.number(),
  layerMs: z.number(),
  batches: z.number().nullable(),
  uploadMsPerByte: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  forwardBytes: z.number().nullable(),
  layerBytes: z.number().nullable(),
  isOwn: z.boolean(),
});

/**
 * The shape is a promise to every later reducer: fields are only ever added, each with a default, and none changes its meaning.
 * What this build does not know is passed over, so that an older one can take over as well.
 */
const lastCommitSchema = z.object({
  format: z.literal("fedlora-last-commit/1"),
  runId: z.string(),
  /** As it was compiled; whether this build still understands it shows when the run is opened. */
  spec: z.record(z.string(), z.unknown()),
  createdMs: z.number(),
  createKey: z.string(),
  status: z.enum(["running", "stopped", "completed", "failed"]),
  reason: z.string(),
  attempt: z.int(),
  sinceMs: z.number(),
  /** Whether the last committed round still has to be evaluated. */
  isEvaluationPending: z.boolean(),
  initialAdapter: blobRefSchema,
  adapter: blobRefSchema,
  methodState: blobRefSchema.nullable(),
  baseVersion: z.int(),
  baseDeltas: z.array(baseDeltaSchema).default([]),
  joinedBase: baseDeltaSchema.nullable().default(null),
  bestBaseDeltas: z.array(baseDeltaSchema).default([]),
  rounds: z.array(roundSchema),
  bestRound: z.int(),
  participants: z.record(z.string(), z.int()),
  capacities: z.record(z.string(), capacitySchema).default({}),
  privacy: privacySchema.nullable().default(null),
  pastPlans: z.record(z.string(), pastPlanSchema),
  writeKeys: z.array(z.string()),
});

/** What a run comes to without the round that is going on: enough to begin that round again, whatever reducer wrote it. */
export interface LastCommit extends Pick<
  RunMachineState,
  | "runId"
  | "spec"
  | "createdMs"
  | "createKey"
  | "status"
  | "reason"
  | "attempt"
  | "baseVersion"
  | "baseDeltas"
  | "joinedBase"
  | "bestBaseDeltas"
  | "bestRound"
  | "participants"
  | "capacities"
  | "writeKeys"
> {
  readonly format: "fedlora-last-commit/1";
  readonly sinceMs: number;
  readonly isEvaluationPending: boolean;
  readonly initialAdapter: BlobRef;
  readonly adapter: BlobRef;
  readonly methodState: BlobRef | null;
  readonly rounds: readonly RoundRecord[];
  /** What was reserved for the round that is left out counts as spent. */
  readonly privacy: Omit<RunPrivacy, "noiseKey"> | null;
  readonly pastPlans: Readonly<Record<string, PastPlan>>;
}

export function lastCommitOf(state: RunMachineState): LastCommit {
  const { runId, spec, createdMs, createKey, status, reason, attempt, phase, phaseSinceMs } = state;
  const { initialAdapter, adapter, methodState, rounds, bestRound, participants, capacities, writeKeys } = state;
  const { baseVersion, baseDeltas, joinedBase, bestBaseDeltas, privacy } = state;
  return {
    format: "fedlora-last-commit/1",
    ...{ runId, spec, createdMs, createKey, status, reason, attempt, sinceMs: phaseSinceMs },
    isEvaluationPending: status === "running" && (phase === "committed" || phase === "evaluating"),
    ...{ initialAdapter, adapter, methodState, rounds, bestRound, participants, capacities, writeKeys },
    ...{ baseVersion, baseDeltas, joinedBase, bestBaseDeltas },
    privacy: privacy === null ? null : withoutKey(privacy),
    // An evaluation that is begun again issues new plans; what was answered of the old ones stays known.
    pastPlans: phase === "evaluating" ? retirePlans(state).pastPlans : state.pastPlans,
  };
}

function withoutKey(privacy: RunPrivacy): LastCommit["privacy"] {
  const { noiseMultiplier, isNoiseSolved, clipNorm, spent, settled } = privacy;
  return { noiseMultiplier, isNoiseSolved, clipNorm, spent, settled };
}

/** Undefined for anything that `lastCommitOf` of some version did not make. */
export function parseLastCommit(value: unknown): LastCommit | undefined {
  const parsed = lastCommitSchema.safeParse(value);
  // Branded ids and the spec are texts and an object here; both are looked at when the run is opened.
  return parsed.success ? (parsed.data as unknown as LastCommit) : undefined;
}

/**
 * The run at the beginning of the round after its last commit, or at the beginning of that commit's evaluation; an ended run as it
 * ended. `atMs` is now: the new wait begins with it. `sequence` is that of the last event which the record knows.
 */
export function reopenRun(commit: LastCommit, sequence: number, atMs: number): RunMachineState {
  const { runId, createdMs, createKey, status, sinceMs, isEvaluationPending } = commit;
  const spec = completeSpec(commit.spec);
  const { initialAdapter, adapter, methodState, rounds, bestRound, reason } = commit;
  const { participants, capacities, pastPlans, writeKeys } = commit;
  const { baseVersion, baseDeltas, joinedBase, bestBaseDeltas } = commit;
  const state: RunMachineState = {
    ...{ runId, spec, createdMs, createKey, status, reason, initialAdapter, adapter, methodState },
    ...{ baseVersion, baseDeltas, joinedBase, bestBaseDeltas },
    ...{ rounds, bestRound, participants, capacities, pastPlans, writeKeys, sequence },
    phase: "committed",
    round: rounds.at(-1)?.round ?? 0,
    attempt: commit.attempt + 1,
    deadlineAtMs: null,
    phaseSinceMs: sinceMs,
    roundStartedMs: sinceMs,
    methodPhase: "",
    wanted: 0,
    closeReason: null,
    plans: {},
    carried: {},
    privacy: commit.privacy === null ? null : { ...commit.privacy, noiseKey: null },
  };
  if (status === "completed") return state;
  if (isEvaluationPending) return { ...state, phaseSinceMs: atMs, reason: "" };
  const next = selectNext(state, atMs);
  if (status === "running") {
    return { ...next, reason: `${next.reason}; it begins again after a change of the coordinator's version` };
  }
  const phase = status === "failed" ? "failed" : "selecting";
  const round = Math.min(next.round, Math.max(state.round, spec.rounds));
  return { ...next, phase, round, deadlineAtMs: null, phaseSinceMs: sinceMs, reason };
}
