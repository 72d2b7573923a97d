import { RandomStream, deriveKey, randomKey } from "@fedlora/core";
import type { PlanKind } from "@fedlora/core";

import { drawCohort } from "../privacy/cohort-draw.js";
import { describeBudgetEnd, learnCosts, payable, reservedEpsilon, roundIsPayable } from "../privacy/pay.js";
import { samplingRateOf } from "../privacy/privacy-terms.js";
import { decideBudgetEnd, decideFailure, decideStart, wantedPlans } from "./decide-round.js";
import type { PresentClient } from "./presence.js";
import type { RunDriver } from "./run-driver.js";
import type { RunCommand } from "./run-reducer.js";
import { clientsNeeded, plansOf, quorumOf } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

/** How often a task looks whether the coordinator still drains. */
const drainLookMs = 60_000;

/**
 * Waits for clients and starts the round.
 *
 * A round starts when every client that is known to be alive and could take part waits for a plan and they are at least the
 * cohort's size, or when the size is reached and the others have had `settleMs` to show up. At the deadline a quorum will do; with
 * less the run fails, to be resumed. Of a run whose cohorts are drawn by chance every round needs its whole population there, or its
 * clients would take part less often than the spec expects.
 *
 * A run that could not pay for its next round ends here.
 */
export async function runCohortSelection(driver: RunDriver, command: RunCommand, signal: AbortSignal): Promise<void> {
  const { clock, presence, tuning, isDraining } = driver.parts;
  const size = clientsToStart(driver.state);
  const { enrolMs } = driver.state.spec.deadlines;
  let enoughSinceMs: number | undefined;
  await driver.plans.load(driver.state);
  await learnCosts(driver);
  for (;;) {
    const arrivals = presence.arrivals.version;
    const { state } = driver;
    const candidates = candidatesOf(driver);
    const now = clock.monotonicMs();
    const leftMs = driver.untilDeadline(enrolMs);
    if (isDraining()) {
      await waitWhileDraining(driver, arrivals, signal);
      continue;
    }
    const needed = leftMs > 0 ? size : leastToStart(state);
    const broke = budgetEnd(driver, candidates.length, needed);
    if (broke !== undefined) {
      await driver.commit((latest) => decideBudgetEnd(latest, command, broke, clock.now()));
      return;
    }
    enoughSinceMs = candidates.length >= size ? (enoughSinceMs ?? now) : undefined;
    const settleLeftMs = enoughSinceMs === undefined ? leftMs : enoughSinceMs + tuning.settleMs - now;
    const isComplete = candidates.length >= size && stragglersOf(driver, candidates) === 0;
    const isDue = leftMs <= 0 && candidates.length >= leastToStart(state);
    if (isComplete || isDue || (enoughSinceMs !== undefined && settleLeftMs <= 0)) {
      if (await startRound(driver, command, candidates)) return;
      continue;
    }
    if (leftMs <= 0) {
      await fail(driver, candidates.length);
      return;
    }
    driver.note = `waiting for clients: ${candidates.length} of ${size} are there for round ${state.round}`;
    await presence.arrivals.wait(arrivals, Math.max(Math.min(leftMs, settleLeftMs), 1), signal);
  }
}

/** No plan is issued while the coordinator drains; it ends with the process, and the next one goes on from here. */
export async function waitWhileDraining(driver: RunDriver, arrivals: number, signal: AbortSignal): Promise<void> {
  driver.note = "the coordinator is draining; the run goes on after its restart";
  await driver.parts.presence.arrivals.wait(arrivals, drainLookMs, signal);
}

/** Clients that wait for a plan and could work on, and pay for, one of this run now. */
export function candidatesOf(driver: RunDriver, kind: PlanKind = "train"): PresentClient[] {
  return waitingClients(driver).filter(({ clientId }) => payable(driver, clientId, kind));
}

function waitingClients(driver: RunDriver): PresentClient[] {
  const { presence, isBusy } = driver.parts;
  return presence.waiting().filter((client) => !isBusy(client.clientId) && isEligible(driver, client));
}

/** Why the run ends here: the round costs more than is left, or too few of those who are there could still pay their part. */
function budgetEnd(driver: RunDriver, numPaying: number, needed: number): string | undefined {
  if (driver.account === undefined) return undefined;
  const numWaiting = waitingClients(driver).length;
  const isShort = numPaying < needed && numWaiting >= needed;
  return roundIsPayable(driver) && !isShort ? undefined : describeBudgetEnd(driver, numWaiting - numPaying);
}

/** A seeded choice, the same whatever the order in which the candidates showed up. */
export function chooseClients(
  { spec, round, attempt }: RunMachineState,
  candidates: readonly PresentClient[],
  count: number,
  purpose: string,
): PresentClient[] {
  const sorted = [...candidates].sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
  const stream = new RandomStream(deriveKey(randomKey(spec.cohort.seed), purpose, round, attempt));
  return stream.shuffle(sorted).slice(0, count);
}

/** Holds the model, wants this run, understands the method, and has not answered in this stage yet. */
export function isEligible({ state, context, plans, runId }: RunDriver, client: PresentClient): boolean {
  if (client.runId !== undefined && client.runId !== runId) return false;
  if (!client.baseModelHashes.includes(context.manifest.hash)) return false;
  const isBuffered = state.spec.policy.kind === "buffered";
  const hasPlan = plansOf(state).some(
    ({ clientId, status }) => clientId === client.clientId && !(isBuffered && status === "accepted"),
  );
  if (hasPlan) return false;
  return plans.canFulfil(client);
}

async function startRound(
  driver: RunDriver,
  command: RunCommand,
  candidates: readonly PresentClient[],
): Promise<boolean> {
  const { clock, presence } = driver.parts;
  const { state } = driver;
  const carried = Object.values(state.carried).filter(({ status }) => status === "open").length;
  const chosen =
    state.spec.privacy.mode === "client"
      ? drawCohort(candidates, samplingRateOf(state.spec) ?? 1, driver.parts.secretBytes)
      : chooseClients(state, candidates, Math.max(0, wantedPlans(state) - carried), "cohort");
  const unreserve = presence.reserve(chosen.map(({ clientId }) => clientId));
  try {
    const issued = await driver.plans.issue(state, "train", chosen);
    const start = { ...issued, ...reservedEpsilon(driver, issued.plans, "train") };
    const { events } = await driver.commit((latest) => decideStart(latest, command, start, clock.now()));
    return events.length > 0;
  } finally {
    unreserve();
  }
}

/** Clients that have to be there: the cohort, but a buffered run under way goes on with whoever is at work already. */
function clientsToStart({ spec, carried, round }: RunMachineState): number {
  if (spec.policy.kind === "synchronous" || round === 1) return clientsNeeded(spec);
  return Object.keys(carried).length > 0 ? 0 : 1;
}

/** Clients with which a round begins at the deadline. */
function leastToStart(state: RunMachineState): number {
  return state.spec.privacy.mode === "client" ? clientsNeeded(state.spec) : quorumOf(state);
}

/** Clients that live and could take part but are not waiting: enrolled a moment ago, or between two polls. */
function stragglersOf(driver: RunDriver, candidates: readonly PresentClient[]): number {
  const { presence, isBusy } = driver.parts;
  const here = new Set(candidates.map(({ clientId }) => clientId));
  const alive = presence.alive().filter(({ clientId }) => !here.has(clientId) && !isBusy(clientId));
  return alive.filter((client) => isEligible(driver, client)).length;
}

async function fail(driver: RunDriver, numPresent: number): Promise<void> {
  const { spec, round } = driver.state;
  const message =
    `round ${round} needs ${clientsNeeded(spec)} clients, at least ${leastToStart(driver.state)}; ` +
    `${numPresent} were there after ${spec.deadlines.enrolMs} ms`;
  await driver.commit((state) => decideFailure(state, "round-failed", message, driver.parts.clock.now()));
}
