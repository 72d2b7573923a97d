import { FedLoraError, assertUpdateMetrics } from "@fedlora/core";
import type { BlobId, ClientId, ErrorCode, PlanId, UpdateMetrics } from "@fedlora/core";

import type { RunEvent } from "./run-events.js";
import { acceptedPlans, livePlan, livePlans, plansOf, updatesPerRound } from "./run-state.js";
import type { PastPlan, PlanState, RunMachineState } from "./run-state.js";

/** More refusals of one plan than this are counted in metrics only, so that nobody can fill the journal. */
const maxJournaledRefusals = 20;

/** What was accepted before for the plan that is asked about, or the events that accept it now. */
export type AcceptDecision =
  | {
      readonly kind: "accepted-before";
      readonly sequence: number;
      readonly blobId: BlobId | "";
      readonly round: number;
    }
  | { readonly kind: "accept"; readonly events: readonly RunEvent[] };

/** The plan of that id, still going on or over. Throws `plan-unknown`, `plan-not-yours`, `round-closed` for one too old to know. */
export function findPlan(
  state: RunMachineState,
  clientId: ClientId,
  planId: PlanId,
): { readonly plan: PlanState } | { readonly past: PastPlan } {
  const plan = livePlan(state, planId);
  const past = state.pastPlans[planId];
  const owner = plan?.clientId ?? past?.clientId;
  if (owner !== undefined && owner !== clientId) {
    throw new FedLoraError("plan-not-yours", `plan ${planId} was issued to another client`);
  }
  if (plan !== undefined) return { plan };
  if (past !== undefined) return { past };
  const round = Number(planId.split(".")[1]);
  if (Number.isInteger(round) && round >= 1 && round < state.round) throw roundClosed(state, planId);
  throw new FedLoraError("plan-unknown", `plan ${planId} does not exist`, { details: { planId } });
}

/** Accepts an update, or finds that it was. Throws besides `update-conflict` and `round-closed` what `findPlan` does. */
export function decideAcceptance(
  state: RunMachineState,
  clientId: ClientId,
  planId: PlanId,
  update: {
    readonly blobId: BlobId;
    readonly bytes: number;
    readonly updateNorm: number | null;
    readonly metrics: UpdateMetrics;
    readonly weight: number;
  },
  atMs: number,
): AcceptDecision {
  const earlier = findAcceptance(state, clientId, planId, update.blobId, "train");
  if (earlier !== undefined) return earlier;
  const common = { runId: state.runId, round: state.round, atMs };
  const events: RunEvent[] = [{ type: "update-accepted", ...common, planId, clientId, ...update }];
  // An update of a carried plan that comes between two rounds waits for the next one.
  if (state.phase === "training" && (acceptedPlans(state).length + 1 >= updatesPerRound(state) || isLast(state))) {
    events.push({ type: "round-closed", ...common, reason: "complete" });
  }
  return { kind: "accept", events };
}

/** As `decideAcceptance`, for the counts of an evaluation. Throws besides `update-metrics`. */
export function decideEvaluationAcceptance(
  state: RunMachineState,
  clientId: ClientId,
  planId: PlanId,
  metrics: UpdateMetrics,
  atMs: number,
): AcceptDecision {
  const earlier = findAcceptance(state, clientId, planId, "", "evaluate");
  if (earlier !== undefined) return earlier;
  if (metrics.evaluation === undefined) {
    throw new FedLoraError("update-metrics", "metrics: an evaluation without its counts");
  }
  assertUpdateMetrics(state.spec.task, metrics);
  const common = { runId: state.runId, round: state.round, atMs };
  return { kind: "accept", events: [{ type: "evaluation-accepted", ...common, planId, clientId, metrics }] };
}

export function decideRefusal(
  state: RunMachineState,
  clientId: ClientId,
  planId: PlanId,
  code: ErrorCode,
  message: string,
  atMs: number,
): readonly RunEvent[] {
  const found = findPlan(state, clientId, planId);
  if (!("plan" in found) || found.plan.refusals >= maxJournaledRefusals) return [];
  const common = { runId: state.runId, round: state.round, atMs, planId, clientId };
  return [{ type: "update-refused", ...common, code, message }];
}

/** A plan that was answered already stays as it is. */
export function decideDecline(
  state: RunMachineState,
  clientId: ClientId,
  planId: PlanId,
  code: string,
  reason: string,
  atMs: number,
): readonly RunEvent[] {
  const found = findPlan(state, clientId, planId);
  if (!("plan" in found) || !isAnswerable(state, found.plan)) return [];
  const { runId, round } = state;
  const declined: RunEvent = { type: "plan-declined", runId, round, atMs, planId, clientId, code, reason };
  if (found.plan.kind !== "train" || !isLast(state)) return [declined];
  return [declined, { type: "round-closed", runId, round, atMs, reason: "unfilled" }];
}

/** Whether one more answer is the last that can come: nobody takes the place of one who was drawn by chance. */
function isLast(state: RunMachineState): boolean {
  if (state.spec.privacy.mode !== "client" || state.phase !== "training") return false;
  return plansOf(state).filter(({ status }) => status === "open" || status === "dropped").length <= 1;
}

/** A client that had lost its slot is heard of again while its plan can still be answered. */
export function decideReturn(state: RunMachineState, planId: PlanId, atMs: number): readonly RunEvent[] {
  const plan = livePlan(state, planId);
  if (plan?.status !== "dropped" || !isAnswerable(state, plan)) return [];
  const { clientId } = plan;
  return [{ type: "client-returned", runId: state.runId, round: state.round, atMs, planId, clientId }];
}

export function decideDrops(
  state: RunMachineState,
  silent: readonly { readonly planId: PlanId; readonly silentMs: number }[],
  atMs: number,
): readonly RunEvent[] {
  return silent.flatMap(({ planId, silentMs }): RunEvent[] => {
    const plan = livePlan(state, planId);
    if (plan?.status !== "open") return [];
    const { clientId } = plan;
    return [{ type: "client-dropped", runId: state.runId, round: state.round, atMs, planId, clientId, silentMs }];
  });
}

/** Whether an answer to the plan would still count. */
export function isAnswerable(state: RunMachineState, plan: PlanState): boolean {
  const phase = plan.kind === "train" ? "training" : "evaluating";
  const isDue = state.phase === phase || plan.planId in state.carried;
  return state.status === "running" && isDue && (plan.status === "open" || plan.status === "dropped");
}

/** The client's plan to work on, where it has one: open, or dropped and still answerable. */
export function answerablePlanOf(state: RunMachineState, clientId: ClientId): PlanState | undefined {
  return livePlans(state).find((plan) => plan.clientId === clientId && isAnswerable(state, plan));
}

export function roundClosed(state: RunMachineState, planId: PlanId): FedLoraError {
  const message = `plan ${planId} is over: run ${state.runId} is ${state.status} in round ${state.round}, ${state.phase}`;
  const details = { runId: state.runId, round: String(state.round), phase: state.phase, state: state.status };
  return new FedLoraError("round-closed", message, { details });
}

/** The acceptance that the plan has; undefined when an answer would be accepted now. */
function findAcceptance(
  state: RunMachineState,
  clientId: ClientId,
  planId: PlanId,
  blobId: BlobId | "",
  kind: "train" | "evaluate",
): AcceptDecision | undefined {
  const found = findPlan(state, clientId, planId);
  const earlier =
    "plan" in found
      ? { sequence: found.plan.acceptance?.sequence ?? null, blobId: found.plan.acceptance?.blobId ?? "" }
      : found.past;
  if (earlier.sequence !== null) {
    const round = "plan" in found ? found.plan.round : found.past.round;
    if (earlier.blobId === blobId) {
      return { kind: "accepted-before", sequence: earlier.sequence, blobId: earlier.blobId, round };
    }
    throw new FedLoraError(
      "update-conflict",
      `plan ${planId} was answered with blob ${earlier.blobId}, not ${blobId}`,
      {
        details: { planId, accepted: earlier.blobId, round: String(round) },
      },
    );
  }
  if (!("plan" in found) || !isAnswerable(state, found.plan)) throw roundClosed(state, planId);
  if (found.plan.kind !== kind) {
    throw new FedLoraError("request-invalid", `plan ${planId} asks to ${found.plan.kind}, not to ${kind}`);
  }
  return undefined;
}
