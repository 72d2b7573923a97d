import type { ClientId, PlanId } from "@fedlora/core";
import { expect, test } from "vitest";
import { retirePlans } from "./reduce-plans.js";
import { maxPastPlans, type PastPlan, type RunMachineState } from "./run-state.js";

const past = (round: number): PastPlan => ({ clientId: "client" as ClientId, round, sequence: null, blobId: "" });

test("plans that end are remembered after those of earlier rounds, and beyond the bound the oldest are forgotten", () => {
  const before = Object.fromEntries(Array.from({ length: maxPastPlans - 1 }, (_, i) => [`run.${i}`, past(1)]));
  const ends = ["run.x", "run.y", "run.z"].map((planId) => [planId, { ...past(2), planId: planId as PlanId }]);
  const state = { plans: Object.fromEntries(ends), carried: {}, pastPlans: before } as unknown as RunMachineState;

  const { plans, pastPlans } = retirePlans(state);

  const ids = Object.keys(pastPlans);
  expect(plans).toEqual({});
  expect(ids).toHaveLength(maxPastPlans);
  expect([ids[0], ...ids.slice(-3)]).toEqual(["run.2", "run.x", "run.y", "run.z"]);
  expect(pastPlans["run.y" as PlanId]).toEqual(past(2));
  expect(Object.keys(state.pastPlans)).toHaveLength(maxPastPlans - 1);
});
