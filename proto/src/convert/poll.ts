import { isRunId, type BaseModelHash, type RunId } from "@fedlora/core";
import type { PollRequest, PollRequest__Output } from "../gen/fedlora/v1/PollRequest.js";
import type { PollResponse, PollResponse__Output } from "../gen/fedlora/v1/PollResponse.js";
import type { RoundPlan as WirePlan } from "../gen/fedlora/v1/RoundPlan.js";
import { limits } from "../limits.js";
import { baseDeltaFromWire, baseDeltaToWire, type BaseDeltaReference } from "./base-delta.js";
import { blobRefToWire, optionalBlobRefFromWire, type BlobReference } from "./blob-ref.js";
import { capabilityToWire, optionalCapabilityFromWire, type CapabilityReport } from "./capability.js";
import { checkDuration, checkId, checkList, checkOneOf, checkOptionalId, checkText, invalid } from "./checks.js";
import { checkBaseModels } from "./enrol.js";
import { planFromWire, type ReceivedPlan } from "./plan.js";

export type WaitReason = "no-run" | "round-full" | "between-rounds" | "draining";
export const endedStates = ["completed", "stopped", "failed"] as const;
export type EndedState = (typeof endedStates)[number];

export interface PollQuestion {
  readonly waitMs: number;
  readonly runId: RunId | undefined;
  readonly baseModelHashes: readonly BaseModelHash[];
  readonly capability: CapabilityReport | undefined;
}

export interface WaitAnswer {
  readonly kind: "wait";
  readonly retryAfterMs: number;
  readonly reason: WaitReason;
}

export interface EndedAnswer {
  readonly kind: "ended";
  readonly runId: RunId;
  readonly state: EndedState;
  readonly globalAdapter: BlobReference | undefined;
  readonly instructions: BlobReference | undefined;
  /** Changes of the base weights that the adapter counts on, oldest first; absent: none. */
  readonly baseDeltas?: readonly BaseDeltaReference[];
}

/** A client takes any reason to wait, so that a newer coordinator may have more of them. */
export type ReceivedPoll =
  ({ readonly kind: "plan" } & ReceivedPlan) | (Omit<WaitAnswer, "reason"> & { readonly reason: string }) | EndedAnswer;

/** A longer wait than the protocol allows is shortened, not refused: the answer comes earlier, which a client expects. */
export function pollFromWire(wire: PollRequest__Output): PollQuestion {
  return {
    waitMs: Math.min(checkDuration(wire.waitMs, "wait_ms"), limits.pollWaitMs),
    runId: checkOptionalId(wire.runId, isRunId, "run_id"),
    baseModelHashes: checkBaseModels(wire.baseModelHashes),
    capability: optionalCapabilityFromWire(wire.capability),
  };
}

export function pollToWire(
  question: Omit<PollQuestion, "baseModelHashes"> & { readonly baseModelHashes: readonly string[] },
): PollRequest {
  return {
    waitMs: question.waitMs,
    runId: question.runId ?? "",
    baseModelHashes: [...question.baseModelHashes],
    capability: question.capability === undefined ? null : capabilityToWire(question.capability),
  };
}

export function pollAnswerToWire(answer: { kind: "plan"; plan: WirePlan } | WaitAnswer | EndedAnswer): PollResponse {
  switch (answer.kind) {
    case "plan":
      return { plan: answer.plan };
    case "wait":
      return { wait: { retryAfterMs: Math.ceil(answer.retryAfterMs), reason: answer.reason } };
    case "ended":
      return {
        ended: {
          runId: answer.runId,
          state: answer.state,
          globalAdapter: blobRefToWire(answer.globalAdapter),
          instructions: blobRefToWire(answer.instructions),
          baseDeltas: (answer.baseDeltas ?? []).map(baseDeltaToWire),
        },
      };
  }
}

export function pollAnswerFromWire(wire: PollResponse__Output, coordinatorKey: Uint8Array): ReceivedPoll {
  if (wire.plan) return { kind: "plan", ...planFromWire(wire.plan, coordinatorKey) };
  if (wire.wait) {
    return {
      kind: "wait",
      retryAfterMs: checkDuration(wire.wait.retryAfterMs, "wait.retry_after_ms"),
      reason: checkText(wire.wait.reason, "wait.reason", limits.keyChars),
    };
  }
  if (wire.ended) {
    const baseDeltas = checkList(wire.ended.baseDeltas, "ended.base_deltas", limits.baseDeltas, baseDeltaFromWire);
    return {
      kind: "ended",
      runId: checkId(wire.ended.runId, isRunId, "ended.run_id"),
      state: checkOneOf(wire.ended.state, endedStates, "ended.state"),
      globalAdapter: optionalBlobRefFromWire(wire.ended.globalAdapter, "ended.global_adapter"),
      instructions: optionalBlobRefFromWire(wire.ended.instructions, "ended.instructions"),
      ...(baseDeltas.length === 0 ? {} : { baseDeltas }),
    };
  }
  throw invalid("answer", "is absent", "a plan, a wait or the run's end");
}
