import { FedLoraError } from "@fedlora/core";
import type { ErrorCode, EvaluationCounts } from "@fedlora/core";

import { mergeEvaluations, reachesTarget } from "./evaluation-result.js";
import type { RunCommand } from "./run-reducer.js";
import type { IssuedPlan, RunEvent } from "./run-events.js";
import { acceptedPlans, isEvaluationDue, plansOf, quorumOf, updatesPerRound } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

/** Plans to have out or accepted in a round: the cohort's size times the over-selection, rounded up. */
export function wantedPlans({ spec }: RunMachineState): number {
  const { size, overSelection } = spec.cohort;
  // 5 x 1.2 is 6, not 6.000000000000001 rounded up to 7.
  return Math.ceil(size * overSelection - 1e-9);
}

/** Slots that nobody works on: every plan that is out or was accepted fills one. */
export function vacancies(state: RunMachineState): number {
  if (state.status !== "running" || state.phase !== "training") return 0;
  // Another client in the place of one that was drawn would take part with a higher probability than is accounted for.
  if (state.spec.privacy.mode === "client") return 0;
  const isBuffered = state.spec.policy.kind === "buffered";
  // In a buffered run who has answered gets the next plan at once.
  const filled = plansOf(state).filter(
    ({ status }) => status === "open" || (status === "accepted" && !isBuffered),
  ).length;
  return Math.max(0, state.wanted - filled);
}

export function decideStart(
  state: RunMachineState,
  command: RunCommand,
  start: {
    readonly methodPhase: string;
    readonly plans: readonly IssuedPlan[];
    readonly reservedEpsilon?: number;
  },
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "selecting")) return [];
  const { runId, round } = state;
  const wanted = state.spec.privacy.mode === "client" ? start.plans.length : wantedPlans(state);
  const started: RunEvent = { type: "round-started", runId, round, atMs, wanted, ...start };
  // Updates that came between the rounds may be enough already; nobody may have been drawn.
  const waiting = Object.values(state.carried).filter(({ status }) => status === "accepted").length;
  if (waiting < updatesPerRound({ spec: state.spec, wanted })) return [started];
  return [started, { type: "round-closed", runId, round, atMs, reason: "complete" }];
}

export function decideRefill(
  state: RunMachineState,
  command: RunCommand,
  plans: readonly IssuedPlan[],
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "training")) return [];
  const { runId, round } = state;
  return plans
    .slice(0, vacancies(state))
    .map((plan): RunEvent => ({ type: "slot-refilled", runId, round, atMs, plan }));
}

/** Closes with what there is when that is a quorum; else the run fails, to be resumed by its operator. */
export function decideDeadline(state: RunMachineState, command: RunCommand, atMs: number): readonly RunEvent[] {
  if (!isCurrent(state, command, "training")) return [];
  const { runId, round, spec } = state;
  const accepted = acceptedPlans(state).length;
  const quorum = quorumOf(state);
  if (accepted >= quorum) return [{ type: "round-closed", runId, round, atMs, reason: "deadline" }];
  const message =
    `round ${round} had ${accepted} of at least ${quorum} updates after ${spec.deadlines.roundMs} ms ` +
    `(${plansOf(state).length} plans issued)`;
  return decideFailure(state, "round-failed", message, atMs);
}

/** Closes a round that has a quorum and nobody left to wait for. */
export function decideUnfilled(state: RunMachineState, command: RunCommand, atMs: number): readonly RunEvent[] {
  if (!isCurrent(state, command, "training") || !isUnfilled(state)) return [];
  const { runId, round } = state;
  return [{ type: "round-closed", runId, round, atMs, reason: "unfilled" }];
}

/** A quorum is there, not the whole cohort, and no plan is out. */
export function isUnfilled(state: RunMachineState): boolean {
  const isWaiting = plansOf(state).some(({ status }) => status === "open");
  return !isWaiting && acceptedPlans(state).length >= quorumOf(state);
}

/** Names the secret of the round's noise, once. */
export function decideNoiseKey(
  state: RunMachineState,
  command: RunCommand,
  secret: string,
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "aggregating") || state.privacy?.noiseKey !== null) return [];
  return [{ type: "noise-key-drawn", runId: state.runId, round: state.round, atMs, secret }];
}

/** Ends a run whose next round would cost more than is left; one that has nothing to show for it fails. */
export function decideBudgetEnd(
  state: RunMachineState,
  command: RunCommand,
  message: string,
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "selecting")) return [];
  if (state.rounds.length === 0) return decideFailure(state, "privacy-budget", message, atMs);
  return [{ type: "run-completed", runId: state.runId, round: state.round, atMs, reason: "budget", message }];
}

export function decideCommit(
  state: RunMachineState,
  command: RunCommand,
  result: Omit<Extract<RunEvent, { type: "round-committed" }>, "type" | "runId" | "round" | "atMs">,
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "aggregating")) return [];
  const { runId, round, spec } = state;
  const events: RunEvent[] = [{ type: "round-committed", runId, round, atMs, ...result }];
  if (round >= spec.rounds && !isEvaluationDue(spec, round)) {
    events.push({ type: "run-completed", runId, round, atMs, reason: "rounds" });
  }
  return events;
}

export function decideEvaluation(
  state: RunMachineState,
  command: RunCommand,
  start: { readonly plans: readonly IssuedPlan[]; readonly reservedEpsilon?: number },
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "committed")) return [];
  const { runId, round } = state;
  const { plans } = start;
  const started: RunEvent = { type: "evaluation-started", runId, round, atMs, ...start };
  return plans.length > 0 ? [started] : finishEvaluation(state, [], 0, { bytesUp: 0, bytesDown: 0 }, atMs);
}

/** Ends an evaluation with what was delivered. */
export function decideEvaluated(
  state: RunMachineState,
  command: RunCommand,
  bytes: { readonly bytesUp: number; readonly bytesDown: number },
  atMs: number,
): readonly RunEvent[] {
  if (!isCurrent(state, command, "evaluating")) return [];
  const accepted = acceptedPlans(state);
  const counts = accepted.flatMap(({ acceptance }) => acceptance.metrics.evaluation ?? []);
  return finishEvaluation(state, counts, plansOf(state).length - accepted.length, bytes, atMs);
}

export function decideFailure(
  state: RunMachineState,
  code: ErrorCode,
  message: string,
  atMs: number,
): readonly RunEvent[] {
  if (state.status !== "running") return [];
  return [{ type: "run-failed", runId: state.runId, round: state.round, atMs, code, message }];
}

export function decideStop(
  state: RunMachineState,
  idempotencyKey: string,
  reason: string,
  atMs: number,
): readonly RunEvent[] {
  if (state.writeKeys.includes(idempotencyKey) || state.status === "stopped") return [];
  if (state.status !== "running") throw wrongState(state, "stopped");
  return [{ type: "run-stopped", runId: state.runId, round: state.round, atMs, idempotencyKey, reason }];
}

export function decideResume(state: RunMachineState, idempotencyKey: string, atMs: number): readonly RunEvent[] {
  if (state.writeKeys.includes(idempotencyKey) || state.status === "running") return [];
  if (state.status === "completed" || state.rounds.length >= state.spec.rounds) throw wrongState(state, "resumed");
  return [{ type: "run-resumed", runId: state.runId, round: state.round, atMs, idempotencyKey }];
}

function finishEvaluation(
  state: RunMachineState,
  counts: readonly EvaluationCounts[],
  missing: number,
  bytes: { readonly bytesUp: number; readonly bytesDown: number },
  atMs: number,
): readonly RunEvent[] {
  const { runId, round, spec } = state;
  const evaluation = mergeEvaluations(spec.task, counts) ?? null;
  const events: RunEvent[] = [{ type: "round-evaluated", runId, round, atMs, evaluation, missing, ...bytes }];
  const isTarget = evaluation !== null && reachesTarget(spec, evaluation);
  if (isTarget || round >= spec.rounds) {
    events.push({ type: "run-completed", runId, round, atMs, reason: isTarget ? "target" : "rounds" });
  }
  return events;
}

/** What was begun for another round, attempt or phase no longer counts. */
function isCurrent(state: RunMachineState, { round, attempt }: RunCommand, phase: string): boolean {
  return state.status === "running" && state.phase === phase && state.round === round && state.attempt === attempt;
}

function wrongState(state: RunMachineState, wish: string): FedLoraError {
  return new FedLoraError("run-state", `run ${state.runId} is ${state.status} and cannot be ${wish}`, {
    details: { runId: state.runId, state: state.status },
  });
}
