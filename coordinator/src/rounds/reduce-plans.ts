import type { ClientId, PlanId, PlanKind } from "@fedlora/core";

import { reservePlans } from "../privacy/run-privacy.js";
import type { IssuedPlan } from "./run-events.js";
import { livePlan, maxPastPlans, plansOf } from "./run-state.js";
import type { PastPlan, PlanState, RunMachineState } from "./run-state.js";

/** Adds plans that were just issued, remembers who got one, and reserves what they cost. */
export function withPlans(state: RunMachineState, kind: PlanKind, plans: readonly IssuedPlan[]): RunMachineState {
  const fresh = plans.map((plan): [PlanId, PlanState] => [
    plan.planId,
    { ...plan, kind, round: state.round, status: "open", refusals: 0, acceptance: null },
  ]);
  const participants = Object.fromEntries(plans.map(({ clientId }) => [clientId, state.round]));
  const capacities = Object.fromEntries(
    plans.flatMap(({ clientId, ranks }) => (ranks?.capacity ? [[clientId, ranks.capacity] as const] : [])),
  );
  return {
    ...state,
    plans: { ...state.plans, ...Object.fromEntries(fresh) },
    participants: { ...state.participants, ...participants },
    capacities: { ...state.capacities, ...capacities },
    privacy: reservePlans(
      state.privacy,
      state.spec,
      kind,
      plans.map(({ clientId }) => clientId),
    ),
  };
}

/** Remembers how many batches a client's round took, where its capacity is kept. */
export function withBatches(state: RunMachineState, clientId: ClientId, numSteps: number): RunMachineState {
  const capacity = state.capacities[clientId];
  if (capacity === undefined || numSteps === 0) return state;
  const batches = numSteps * state.spec.training.gradientAccumulation;
  return { ...state, capacities: { ...state.capacities, [clientId]: { ...capacity, batches } } };
}

export function withPlan(
  state: RunMachineState,
  planId: PlanId,
  change: (plan: PlanState) => Partial<PlanState>,
): RunMachineState {
  const plan = livePlan(state, planId);
  if (plan === undefined) return state;
  const place = planId in state.plans ? "plans" : "carried";
  return { ...state, [place]: { ...state[place], [planId]: { ...plan, ...change(plan) } } };
}

/**
 * Parts a buffered round's plans when it closes: what was answered stays, and counts; what is out is carried over, unless
 * its update would be staler than the policy allows by the next round.
 */
export function carryPlans(state: RunMachineState): RunMachineState {
  const { policy } = state.spec;
  if (policy.kind !== "buffered") return state;
  const isCarried = ({ status, round }: PlanState): boolean =>
    (status === "open" || status === "dropped") && state.round + 1 - round <= policy.maxStaleness;
  const part = (wanted: boolean): RunMachineState["plans"] =>
    Object.fromEntries(
      plansOf(state)
        .filter((plan) => isCarried(plan) === wanted)
        .map((plan) => [plan.planId, plan]),
    );
  return { ...state, plans: part(false), carried: part(true) };
}

/** Ends the stage's plans: what a late client may still ask about moves to `pastPlans`, the oldest of which are forgotten. */
export function retirePlans(state: RunMachineState): RunMachineState {
  const retired = plansOf(state).map(({ planId, clientId, round, acceptance }): [PlanId, PastPlan] => [
    planId,
    { clientId, round, sequence: acceptance?.sequence ?? null, blobId: acceptance?.blobId ?? "" },
  ]);
  const pastPlans = { ...state.pastPlans, ...Object.fromEntries(retired) };
  // Ids are no integers, so the properties keep the order in which they were added.
  const ids = Object.keys(pastPlans);
  for (const id of ids.slice(0, Math.max(0, ids.length - maxPastPlans))) Reflect.deleteProperty(pastPlans, id);
  return { ...state, plans: {}, pastPlans };
}
