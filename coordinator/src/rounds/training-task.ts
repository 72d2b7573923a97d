import { learnCosts } from "../privacy/pay.js";
import { candidatesOf, chooseClients } from "./cohort-task.js";
import { decideDrops } from "./decide-plans.js";
import { decideDeadline, decideRefill, decideUnfilled, isUnfilled, vacancies } from "./decide-round.js";
import type { RunDriver } from "./run-driver.js";
import type { RunCommand } from "./run-reducer.js";
import { plansOf } from "./run-state.js";
import { waitForAny } from "./wakeup.js";

/**
 * Watches over a round's training: takes the slots of silent clients, refills free ones, closes the round at its deadline or,
 * with a quorum, when nobody was left to wait for during `silenceMs`. The update that completes the cohort closes it by itself.
 */
export async function runTraining(driver: RunDriver, command: RunCommand, signal: AbortSignal): Promise<void> {
  const { clock, presence } = driver.parts;
  const { roundMs, silenceMs } = driver.state.spec.deadlines;
  let unfilledSinceMs: number | undefined;
  await driver.plans.load(driver.state);
  await learnCosts(driver);
  for (;;) {
    const versions = [driver.changes.version, presence.arrivals.version] as const;
    const leftMs = driver.untilDeadline(roundMs);
    if (leftMs <= 0) {
      await driver.commit((state) => decideDeadline(state, command, clock.now()));
      return;
    }
    const silenceLeftMs = await dropSilent(driver, silenceMs);
    await refill(driver, command);
    const now = clock.monotonicMs();
    unfilledSinceMs = isUnfilled(driver.state) ? (unfilledSinceMs ?? now) : undefined;
    const unfilledLeftMs = unfilledSinceMs === undefined ? leftMs : unfilledSinceMs + silenceMs - now;
    if (unfilledLeftMs <= 0) await driver.commit((state) => decideUnfilled(state, command, clock.now()));
    const waitMs = Math.max(1, Math.min(leftMs, silenceLeftMs, unfilledLeftMs));
    await waitForEither(driver, versions, waitMs, signal);
  }
}

/** Drops the plans of clients that were not heard of for `silenceMs`; returns how long until the next one could be. */
export async function dropSilent(driver: RunDriver, silenceMs: number): Promise<number> {
  const { clock, presence } = driver.parts;
  const open = plansOf(driver.state).filter(({ status }) => status === "open");
  const silences = open.map(({ planId, clientId }) => ({ planId, silentMs: Math.round(presence.silentMs(clientId)) }));
  const silent = silences.filter(({ silentMs }) => silentMs >= silenceMs);
  if (silent.length > 0) await driver.commit((state) => decideDrops(state, silent, clock.now()));
  const others = silences.filter(({ silentMs }) => silentMs < silenceMs);
  return Math.min(Number.POSITIVE_INFINITY, ...others.map(({ silentMs }) => silenceMs - silentMs));
}

/** Sleeps until the run or the set of present clients changed, or the time is up. */
export async function waitForEither(
  driver: RunDriver,
  [changes, arrivals]: readonly [number, number],
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { clock, presence } = driver.parts;
  const waits = [
    { wakeup: driver.changes, version: changes },
    { wakeup: presence.arrivals, version: arrivals },
  ];
  await waitForAny(clock, waits, waitMs, signal);
}

async function refill(driver: RunDriver, command: RunCommand): Promise<void> {
  const { clock, presence, isDraining } = driver.parts;
  const { state } = driver;
  const free = vacancies(state);
  if (free === 0 || isDraining()) return;
  const candidates = candidatesOf(driver);
  if (candidates.length === 0) return;
  const chosen = chooseClients(state, candidates, free, `refill ${plansOf(state).length}`);
  const unreserve = presence.reserve(chosen.map(({ clientId }) => clientId));
  try {
    const { plans } = await driver.plans.issue(state, "train", chosen);
    await driver.commit((latest) => decideRefill(latest, command, plans, clock.now()));
  } finally {
    unreserve();
  }
}
