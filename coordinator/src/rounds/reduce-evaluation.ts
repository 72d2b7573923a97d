import type { BlobId } from "@fedlora/core";

import { settle } from "../privacy/run-privacy.js";
import { extendBaseChain } from "./base-chain.js";
import { isBetter } from "./evaluation-result.js";
import { retirePlans, withPlan, withPlans } from "./reduce-plans.js";
import type { RunEventOf } from "./run-events.js";
import { acceptedPlans, clientsNeeded, isEvaluationDue, plansOf } from "./run-state.js";
import type { RoundRecord, RunMachineState } from "./run-state.js";

type EvaluationEvent = RunEventOf<"round-committed" | "evaluation-started" | "evaluation-accepted" | "round-evaluated">;

/** From a round's commit over its evaluation to the next round. */
export function reduceEvaluation(state: RunMachineState, event: EvaluationEvent): RunMachineState {
  switch (event.type) {
    case "round-committed": {
      const { adapter, methodState, baseVersion } = event;
      const committed: RunMachineState = {
        ...retirePlans(state),
        adapter,
        methodState,
        baseVersion,
        ...extendBaseChain(state, event),
        rounds: [...state.rounds, roundRecord(state, event)],
        privacy: privacyAfter(state, event),
      };
      if (isEvaluationDue(state.spec, event.round) || event.round >= state.spec.rounds) {
        return { ...committed, phase: "committed", reason: "", phaseSinceMs: event.atMs, deadlineAtMs: null };
      }
      return selectNext(committed, event.atMs);
    }
    case "evaluation-started": {
      const started: RunMachineState = {
        ...state,
        phase: "evaluating",
        phaseSinceMs: event.atMs,
        deadlineAtMs: event.atMs + state.spec.deadlines.evaluationMs,
        reason: `waiting for ${event.plans.length} of ${event.plans.length} evaluations`,
      };
      return withPlans(started, "evaluate", event.plans);
    }
    case "evaluation-accepted": {
      const { sequence, metrics } = event;
      const acceptance = { sequence, blobId: "" as const, bytes: 0, metrics, weight: 0 };
      const accepted = withPlan(state, event.planId, () => ({ status: "accepted", acceptance }));
      const open = plansOf(accepted).filter(({ status }) => status === "open").length;
      return { ...accepted, reason: `waiting for ${open} of ${plansOf(accepted).length} evaluations` };
    }
    case "round-evaluated": {
      const { evaluation, bytesUp, bytesDown } = event;
      const rounds = state.rounds.map((record) =>
        record.round === event.round
          ? { ...record, evaluation, bytesUp: record.bytesUp + bytesUp, bytesDown: record.bytesDown + bytesDown }
          : record,
      );
      const before = state.rounds.find(({ round }) => round === state.bestRound)?.evaluation ?? null;
      const isBest = evaluation !== null && isBetter(state.spec, evaluation, before);
      const best = isBest ? { bestRound: event.round, bestBaseDeltas: state.baseDeltas } : {};
      const privacy = state.privacy === null ? null : settle(state.privacy);
      const evaluated = { ...retirePlans(state), rounds, ...best, privacy };
      if (event.round < state.spec.rounds) return selectNext(evaluated, event.atMs);
      return { ...evaluated, phase: "committed", reason: "", phaseSinceMs: event.atMs, deadlineAtMs: null };
    }
  }
}

/** On to the choice of the next round's cohort. */
export function selectNext(state: RunMachineState, atMs: number): RunMachineState {
  const round = (state.rounds.at(-1)?.round ?? 0) + 1;
  return {
    ...state,
    phase: "selecting",
    round,
    plans: {},
    closeReason: null,
    phaseSinceMs: atMs,
    deadlineAtMs: atMs + state.spec.deadlines.enrolMs,
    reason: `waiting for clients: round ${round} needs ${clientsNeeded(state.spec)}`,
  };
}

function roundRecord(state: RunMachineState, event: RunEventOf<"round-committed">): RoundRecord {
  const plans = plansOf(state);
  const accepted = acceptedPlans(state);
  const acceptedBytes = accepted.reduce((sum, { acceptance }) => sum + acceptance.bytes, 0);
  // A run that was reopened between its updates and their commit has no plans left; the instructions hardly ever change.
  const { instructions } = accepted[0] ?? state.rounds.at(-1) ?? { instructions: state.adapter };
  return {
    round: event.round,
    startedMs: state.roundStartedMs,
    committedMs: event.atMs,
    closeReason: state.closeReason ?? "complete",
    planned: plans.length,
    accepted: accepted.length,
    refused: plans.reduce((sum, { refusals }) => sum + refusals, 0),
    declined: plans.filter(({ status }) => status === "declined").length,
    dropouts: plans.filter(({ status }) => status === "dropped" || status === "open").length,
    trainLoss: meanTrainLoss(accepted.map(({ acceptance }) => acceptance.metrics)),
    evaluation: null,
    // The meter starts at zero with the process; what was accepted did arrive.
    bytesUp: Math.max(event.bytesUp, acceptedBytes),
    bytesDown: event.bytesDown,
    adapter: event.adapter,
    baseVersion: event.baseVersion,
    instructions,
    methodMetrics: event.methodMetrics,
    keptUpdates: state.spec.keepUpdates
      ? accepted.map(({ acceptance }) => acceptance.blobId).filter((id): id is BlobId => id !== "")
      : [],
    privacy: event.privacy ?? null,
  };
}

/** What was reserved is spent, and the noise of the round is not drawn again. */
function privacyAfter({ privacy }: RunMachineState, event: RunEventOf<"round-committed">): RunMachineState["privacy"] {
  if (privacy === null) return null;
  return { ...settle(privacy), clipNorm: event.privacy?.nextClipNorm ?? privacy.clipNorm, noiseKey: null };
}

function meanTrainLoss(
  updates: readonly { readonly numExamples: number; readonly trainLoss?: number | undefined }[],
): number | null {
  let sum = 0;
  let examples = 0;
  for (const { numExamples, trainLoss } of updates) {
    if (trainLoss === undefined) continue;
    sum += numExamples * trainLoss;
    examples += numExamples;
  }
  return examples === 0 ? null : sum / examples;
}
