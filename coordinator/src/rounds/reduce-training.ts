import { giveBack, reserveRound } from "../privacy/run-privacy.js";
import { carryPlans, withBatches, withPlan, withPlans } from "./reduce-plans.js";
import type { RunEventOf } from "./run-events.js";
import { livePlan, plansOf, quorumOf, updatesPerRound } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

type TrainingEvent = RunEventOf<
  | "round-started"
  | "slot-refilled"
  | "plan-declined"
  | "client-dropped"
  | "client-returned"
  | "update-accepted"
  | "update-refused"
  | "round-closed"
  | "noise-key-drawn"
>;

/** From the choice of a cohort to the close of its round; declined and dropped plans also occur in evaluations. */
export function reduceTraining(state: RunMachineState, event: TrainingEvent): RunMachineState {
  switch (event.type) {
    case "round-started":
      return explainWait(
        withPlans(
          {
            ...state,
            phase: "training",
            round: event.round,
            methodPhase: event.methodPhase,
            wanted: event.wanted,
            plans: state.carried,
            carried: {},
            closeReason: null,
            roundStartedMs: event.atMs,
            phaseSinceMs: event.atMs,
            deadlineAtMs: event.atMs + state.spec.deadlines.roundMs,
            privacy: reserveRound(state.privacy, state.spec),
          },
          "train",
          event.plans,
        ),
      );
    case "slot-refilled":
      return explainWait(withPlans(state, "train", [event.plan]));
    case "plan-declined": {
      const { planId, clientId } = event;
      const kind = livePlan(state, planId)?.kind ?? "train";
      const privacy = giveBack(state.privacy, state.spec, kind, clientId);
      return explainWait(withPlan({ ...state, privacy }, planId, () => ({ status: "declined" })));
    }
    case "client-dropped":
      return explainWait(withPlan(state, event.planId, () => ({ status: "dropped" })));
    case "client-returned":
      return explainWait(withPlan(state, event.planId, () => ({ status: "open" })));
    case "update-accepted": {
      const { sequence, blobId, bytes, metrics, weight } = event;
      const acceptance = { sequence, blobId, bytes, metrics, weight };
      const accepted = withPlan(state, event.planId, () => ({ status: "accepted", acceptance }));
      return explainWait(withBatches(accepted, event.clientId, metrics.numSteps));
    }
    case "update-refused":
      return withPlan(state, event.planId, ({ refusals }) => ({ refusals: refusals + 1 }));
    case "round-closed":
      return {
        ...carryPlans(state),
        phase: "aggregating",
        closeReason: event.reason,
        phaseSinceMs: event.atMs,
        deadlineAtMs: null,
        reason: event.reason === "complete" ? "" : partialClose(state, event.reason),
      };
    case "noise-key-drawn":
      return state.privacy === null ? state : { ...state, privacy: { ...state.privacy, noiseKey: event.secret } };
  }
}

function explainWait(state: RunMachineState): RunMachineState {
  const plans = plansOf(state);
  const count = (status: string): number => plans.filter((plan) => plan.status === status).length;
  if (state.phase === "evaluating") {
    return { ...state, reason: `waiting for ${count("open")} of ${plans.length} evaluations` };
  }
  const wanted = Math.min(updatesPerRound(state), state.wanted);
  const gone = [
    ...(count("declined") > 0 ? [`${count("declined")} declined`] : []),
    ...(count("dropped") > 0 ? [`${count("dropped")} fell silent`] : []),
  ];
  const note = gone.length === 0 ? "" : ` (${gone.join(", ")})`;
  return {
    ...state,
    reason: `waiting for updates: ${count("accepted")} of ${wanted} accepted, ${count("open")} in training${note}`,
  };
}

function partialClose(state: RunMachineState, reason: "deadline" | "unfilled"): string {
  const accepted = plansOf(state).filter(({ status }) => status === "accepted").length;
  const why = reason === "deadline" ? "at its deadline" : "because no client was left to wait for";
  const quorum = quorumOf(state);
  const needed = quorum === 0 ? "" : ` (quorum ${quorum})`;
  return `round ${state.round} closed ${why} with ${accepted} of ${updatesPerRound(state)} updates${needed}`;
}
