import {
  FedLoraError,
  isBaseModelHash,
  isBlobId,
  isRunId,
  runSpecSchema,
  type BaseModelHash,
  type BlobId,
  type RunId,
  type RunSpec,
} from "@fedlora/core";
import type { EvaluationSummary, EvaluationSummary__Output } from "../gen/fedlora/v1/EvaluationSummary.js";
import type { RoundSummary as WireRound, RoundSummary__Output } from "../gen/fedlora/v1/RoundSummary.js";
import type { RunResponse, RunResponse__Output } from "../gen/fedlora/v1/RunResponse.js";
import type { RunSummary as WireRun, RunSummary__Output } from "../gen/fedlora/v1/RunSummary.js";
import { limits } from "../limits.js";
import { blobRefToWire, optionalBlobRefFromWire, type BlobReference } from "./blob-ref.js";
import {
  checkFinite,
  checkId,
  checkInt,
  checkList,
  checkNumberMap,
  checkOneOf,
  checkPresent,
  checkText,
} from "./checks.js";
import { parseJson } from "./json.js";

export const runStates = ["running", "stopped", "completed", "failed"] as const;
export type RunState = (typeof runStates)[number];
export const roundPhases = [
  "selecting",
  "configuring",
  "training",
  "unmasking",
  "aggregating",
  "evaluating",
  "committed",
  "failed",
] as const;
export type RoundPhase = (typeof roundPhases)[number];

export interface RunSummary {
  readonly runId: RunId;
  readonly name: string;
  readonly state: RunState;
  readonly phase: RoundPhase;
  readonly round: number;
  readonly rounds: number;
  readonly method: string;
  /** Why it waits, stopped or failed, in words; empty when there is nothing to say. */
  readonly reason: string;
  readonly createdMs: number;
  readonly baseModelHash: BaseModelHash;
}

export interface EvaluationResult {
  readonly count: number;
  readonly loss: number;
  readonly accuracy: number | undefined;
  /** F1 of the task's positive label. */
  readonly f1: number | undefined;
  readonly confusion: readonly number[];
}

export interface RoundSummary {
  readonly round: number;
  readonly planned: number;
  readonly accepted: number;
  readonly refused: number;
  readonly declined: number;
  readonly dropouts: number;
  readonly trainLoss: number | undefined;
  readonly evaluation: EvaluationResult | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly durationMs: number;
  readonly adapterBlobId: BlobId;
  readonly methodMetrics: Readonly<Record<string, number>>;
}

export interface RunDetail {
  readonly summary: RunSummary;
  readonly spec: RunSpec;
  readonly rounds: readonly RoundSummary[];
  readonly bestRound: number;
  readonly globalAdapter: BlobReference | undefined;
}

/** A page of a run: `hasMoreRounds` says that rounds follow the last one here. */
export type RunPage = RunDetail & { readonly hasMoreRounds: boolean };

export function runSummaryToWire(summary: RunSummary): WireRun {
  return { ...summary, reason: summary.reason.slice(0, limits.textChars), createdMs: Math.floor(summary.createdMs) };
}

export function runSummaryFromWire(wire: RunSummary__Output): RunSummary {
  return {
    runId: checkId(wire.runId, isRunId, "run_id"),
    name: checkText(wire.name, "name", limits.nameChars),
    state: checkOneOf(wire.state, runStates, "state"),
    phase: checkOneOf(wire.phase, roundPhases, "phase"),
    round: checkInt(wire.round, "round"),
    rounds: checkInt(wire.rounds, "rounds"),
    method: checkText(wire.method, "method", limits.keyChars),
    reason: checkText(wire.reason, "reason", limits.textChars),
    createdMs: checkInt(wire.createdMs, "created_ms"),
    baseModelHash: checkId(wire.baseModelHash, isBaseModelHash, "base_model_hash"),
  };
}

/** One page: the rounds above `afterRound`, as many as one message holds. */
export function runDetailToWire(detail: RunDetail, afterRound = 0): RunResponse {
  const rounds = detail.rounds.filter(({ round }) => round > afterRound);
  const page = rounds.slice(0, limits.listEntries);
  return {
    summary: runSummaryToWire(detail.summary),
    specJson: JSON.stringify(detail.spec),
    rounds: page.map(roundToWire),
    bestRound: detail.bestRound,
    globalAdapter: blobRefToWire(detail.globalAdapter),
    moreRounds: page.length < rounds.length,
  };
}

export function runPageFromWire(wire: RunResponse__Output): RunPage {
  const spec = runSpecSchema.safeParse(parseJson(wire.specJson, "spec_json", limits.specChars));
  if (!spec.success) throw new FedLoraError("spec-invalid", `the coordinator's run spec: ${spec.error.message}`);
  return {
    summary: runSummaryFromWire(checkPresent(wire.summary, "summary")),
    spec: spec.data,
    rounds: checkList(wire.rounds, "rounds", limits.listEntries, roundFromWire),
    bestRound: checkInt(wire.bestRound, "best_round"),
    globalAdapter: optionalBlobRefFromWire(wire.globalAdapter, "global_adapter"),
    hasMoreRounds: wire.moreRounds,
  };
}

function roundToWire(round: RoundSummary): WireRound {
  const { trainLoss, evaluation, methodMetrics, ...counts } = round;
  return {
    ...counts,
    durationMs: Math.round(round.durationMs),
    ...(trainLoss === undefined ? {} : { trainLoss }),
    evaluation: evaluation === undefined ? null : evaluationToWire(evaluation),
    methodMetrics: { ...methodMetrics },
  };
}

function roundFromWire(wire: RoundSummary__Output, field: string): RoundSummary {
  const int = (name: keyof RoundSummary__Output & ("round" | "planned" | "accepted" | "refused")): number =>
    checkInt(wire[name], `${field}.${name}`);
  return {
    round: int("round"),
    planned: int("planned"),
    accepted: int("accepted"),
    refused: int("refused"),
    declined: checkInt(wire.declined, `${field}.declined`),
    dropouts: checkInt(wire.dropouts, `${field}.dropouts`),
    trainLoss: wire.trainLoss === undefined ? undefined : checkFinite(wire.trainLoss, `${field}.train_loss`),
    evaluation: wire.evaluation === null ? undefined : evaluationFromWire(wire.evaluation, `${field}.evaluation`),
    bytesUp: checkInt(wire.bytesUp, `${field}.bytes_up`),
    bytesDown: checkInt(wire.bytesDown, `${field}.bytes_down`),
    durationMs: checkInt(wire.durationMs, `${field}.duration_ms`),
    adapterBlobId: checkId(wire.adapterBlobId, isBlobId, `${field}.adapter_blob_id`),
    methodMetrics: checkNumberMap(wire.methodMetrics, `${field}.method_metrics`),
  };
}

/** A confusion matrix beyond the limit stays at the coordinator; counts, loss, accuracy and F1 travel. */
function evaluationToWire(evaluation: EvaluationResult): EvaluationSummary {
  const { accuracy, f1, confusion } = evaluation;
  return {
    count: evaluation.count,
    loss: evaluation.loss,
    ...(accuracy === undefined ? {} : { accuracy }),
    ...(f1 === undefined ? {} : { f1 }),
    confusion: confusion.length > maxListedCells ? [] : [...confusion],
  };
}

/** 200 rounds of 64 cells of 8 bytes are 100 KiB: a page still fits into one message. */
const maxListedCells = 64;

function evaluationFromWire(wire: EvaluationSummary__Output, field: string): EvaluationResult {
  return {
    count: checkFinite(wire.count, `${field}.count`, 0),
    loss: checkFinite(wire.loss, `${field}.loss`),
    accuracy: wire.accuracy === undefined ? undefined : checkFinite(wire.accuracy, `${field}.accuracy`, 0, 1),
    f1: wire.f1 === undefined ? undefined : checkFinite(wire.f1, `${field}.f1`, 0, 1),
    confusion: checkList(wire.confusion, `${field}.confusion`, maxListedCells, (cell, name) =>
      checkFinite(cell, name, 0),
    ),
  };
}
