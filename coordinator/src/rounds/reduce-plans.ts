import type { PlanId, PlanKind } from "@fedlora/core";

import type { IssuedPlan } from "./run-events.js";
import { maxPastPlans, plansOf } from "./run-state.js";
import type { PastPlan, PlanState, RunMachineState } from "./run-state.js";

/** Adds plans that were just issued and remembers who got one. */
export function withPlans(state: RunMachineState, kind: PlanKind, plans: readonly IssuedPlan[]): RunMachineState {
  const fresh = plans.map((plan): [PlanId, PlanState] => [
    plan.planId,
    { ...plan, kind, status: "open", refusals: 0, acceptance: null },
  ]);
  const participants = Object.fromEntries(plans.map(({ clientId }) => [clientId, state.round]));
  return {
    ...state,
    plans: { ...state.plans, ...Object.fromEntries(fresh) },
    participants: { ...state.participants, ...participants },
  };
}

export function withPlan(
  state: RunMachineState,
  planId: PlanId,
  change: (plan: PlanState) => Partial<PlanState>,
): RunMachineState {
  const plan = state.plans[planId];
  if (plan === undefined) return state;
  return { ...state, plans: { ...state.plans, [planId]: { ...plan, ...change(plan) } } };
}

/** Ends the stage's plans: what a late client may still ask about moves to `pastPlans`, the oldest of which are forgotten. */
export function retirePlans(state: RunMachineState): RunMachineState {
  const retired = plansOf(state).map(({ planId, clientId, acceptance }): [PlanId, PastPlan] => [
    planId,
    { clientId, round: state.round, sequence: acceptance?.sequence ?? null, blobId: acceptance?.blobId ?? "" },
  ]);
  // Ids are no integers, so the properties keep the order in which they were added.
  const entries = [...Object.entries(state.pastPlans), ...retired].slice(-maxPastPlans);
  return { ...state, plans: {}, pastPlans: Object.fromEntries(entries) };
}
