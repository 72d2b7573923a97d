import type { ClientId, PlanKind } from "@fedlora/core";

import type { RunDriver } from "../rounds/run-driver.js";
import type { IssuedPlan } from "../rounds/run-events.js";
import type { ReleaseCounts } from "./privacy-terms.js";
import { exposure, exposureOf, reservePlans, reserveRound } from "./run-privacy.js";
import { show } from "./settle-noise.js";

/** Has everything computed that paying for the next plans will ask: without it, the answers come later and block. */
export async function learnCosts({ account, state, parts }: RunDriver): Promise<void> {
  const { privacy } = state;
  if (account === undefined || privacy === null) return;
  const shared = exposureOf(privacy);
  const now = [exposure(privacy), shared, ...Object.keys(privacy.spent).map((who) => exposureOf(privacy, who))];
  const next = now.flatMap((counts) => [
    counts,
    { ...counts, training: counts.training + 1 },
    ...(account.privacy.metricsNoise === undefined ? [] : [{ ...counts, evaluation: counts.evaluation + 1 }]),
  ]);
  const distinct = new Map(next.map((counts) => [`${counts.training}:${counts.evaluation}`, counts]));
  await account.prepare(parts.accounting, distinct.values());
}

/** Whether a client could pay for one more plan; always in a run without privacy, and where the round pays. */
export function payable({ account, state }: RunDriver, clientId: ClientId, kind: PlanKind): boolean {
  const { privacy, spec } = state;
  if (account === undefined || privacy === null) return true;
  const after = reservePlans(privacy, spec, kind, [clientId]) ?? privacy;
  return after === privacy || account.canPay(exposureOf(after, clientId));
}

/** Whether the round itself, where the coordinator releases it, is within the budget for everybody. */
export function roundIsPayable({ account, state }: RunDriver): boolean {
  const { privacy, spec } = state;
  const after = reserveRound(privacy, spec);
  return account === undefined || after === null || after === privacy || account.canPay(exposure(after));
}

/** What the plans of a round bring the run to; nothing in a run without privacy. */
export function reservedEpsilon(
  { account, state }: RunDriver,
  plans: readonly IssuedPlan[],
  kind: PlanKind,
): { readonly reservedEpsilon?: number } {
  if (account === undefined) return {};
  const paid = kind === "train" ? reserveRound(state.privacy, state.spec) : state.privacy;
  const clients = plans.map(({ clientId }) => clientId);
  const after = reservePlans(paid, state.spec, kind, clients);
  return after === null ? {} : { reservedEpsilon: account.bound(exposure(after)).epsilon };
}

/** In words: what is spent, what is left, and what the next round would cost. */
export function describeBudgetEnd({ account, state }: RunDriver, numSpent: number): string {
  const { privacy, spec, round } = state;
  if (account === undefined || privacy === null) return "";
  const spentCounts = exposure(privacy);
  const spent = account.bound(spentCounts).epsilon;
  const next: ReleaseCounts = { ...spentCounts, training: spentCounts.training + 1 };
  const budget = account.privacy.epsilon;
  const left = budget === undefined ? "" : ` of ${budget}, ${show(Math.max(0, budget - spent), "down")} left`;
  const who = spec.privacy.mode === "client" ? "" : ` for ${numSpent} of the clients that are there`;
  return (
    `round ${round} was not started: it would bring epsilon to ${show(account.bound(next).epsilon)}${who} ` +
    `(${show(spent)} spent${left}, at delta ${account.privacy.delta})`
  );
}
