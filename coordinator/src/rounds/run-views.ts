import type { BaseModelHash } from "@fedlora/core";

import type { RoundSummary, RunDetail, RunSummary } from "../service.js";
import { baseChainTo } from "./base-chain.js";
import type { BaseDeltaRef, BlobRef } from "./run-events.js";
import type { RoundRecord, RunMachineState } from "./run-state.js";

/** `note` explains the present wait where the journal does not. */
export function toRunSummary(state: RunMachineState, note: string): RunSummary {
  const { runId, spec, status, phase, round, createdMs } = state;
  return {
    runId,
    name: spec.name,
    state: status,
    phase,
    round,
    rounds: spec.rounds,
    method: spec.method.name,
    reason: note === "" ? state.reason : note,
    createdMs,
    baseModelHash: spec.model.hash as BaseModelHash,
  };
}

export function toRunDetail(state: RunMachineState, note: string): RunDetail {
  return {
    summary: toRunSummary(state, note),
    spec: state.spec,
    rounds: state.rounds.map(toRoundSummary),
    bestRound: state.bestRound,
    globalAdapter: state.rounds.length === 0 ? undefined : state.adapter,
  };
}

export function toRoundSummary(record: RoundRecord): RoundSummary {
  const { round, planned, accepted, refused, declined, dropouts, trainLoss, evaluation, bytesUp, bytesDown } = record;
  return {
    round,
    planned,
    accepted,
    refused,
    declined,
    dropouts,
    trainLoss: trainLoss ?? undefined,
    evaluation: evaluation ?? undefined,
    bytesUp,
    bytesDown,
    durationMs: Math.max(0, record.committedMs - record.startedMs),
    adapterBlobId: record.adapter.id,
    methodMetrics: record.methodMetrics,
  };
}

/** What a client may keep of an ended run: the best evaluated round's adapter, else the last one's. */
export function finalAdapter(state: RunMachineState): FinalAdapter | undefined {
  const record = state.rounds.find(({ round }) => round === state.bestRound) ?? state.rounds.at(-1);
  if (record === undefined) return undefined;
  const { adapter, instructions, baseVersion } = record;
  return { globalAdapter: adapter, instructions, baseDeltas: baseChainTo(state, baseVersion) ?? [] };
}

interface FinalAdapter {
  readonly globalAdapter: BlobRef;
  readonly instructions: BlobRef;
  /** What its base weights differ by from the base model. */
  readonly baseDeltas: readonly BaseDeltaRef[];
}
