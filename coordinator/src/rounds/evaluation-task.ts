import type { ClientId } from "@fedlora/core";

import { learnCosts, payable, reservedEpsilon } from "../privacy/pay.js";
import { candidatesOf, waitWhileDraining } from "./cohort-task.js";
import { decideEvaluated, decideEvaluation } from "./decide-round.js";
import type { PresentClient } from "./presence.js";
import type { RunDriver } from "./run-driver.js";
import type { RunCommand } from "./run-reducer.js";
import { plansOf } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";
import { dropSilent, waitForEither } from "./training-task.js";

/** Asks the round's contributors, and whoever else waits, to evaluate the adapter that was just committed. */
export async function startEvaluation(driver: RunDriver, command: RunCommand, signal: AbortSignal): Promise<void> {
  const { clock, presence } = driver.parts;
  await untilReady(driver, signal);
  await learnCosts(driver);
  const { state } = driver;
  const clients = evaluators(driver);
  const unreserve = presence.reserve(clients.map(({ clientId }) => clientId));
  try {
    const { plans } = await driver.plans.issue(state, "evaluate", clients);
    const start = { plans, ...reservedEpsilon(driver, plans, "evaluate") };
    await driver.commit((latest) => decideEvaluation(latest, command, start, clock.now()));
  } finally {
    unreserve();
  }
}

/** Ends the evaluation when everybody answered, fell silent or ran out of time; what was delivered counts. */
export async function runEvaluation(driver: RunDriver, command: RunCommand, signal: AbortSignal): Promise<void> {
  const { clock, presence } = driver.parts;
  const { evaluationMs, silenceMs } = driver.state.spec.deadlines;
  for (;;) {
    const versions = [driver.changes.version, presence.arrivals.version] as const;
    const leftMs = driver.untilDeadline(evaluationMs);
    const silenceLeftMs = await dropSilent(driver, silenceMs);
    const isOpen = plansOf(driver.state).some(({ status }) => status === "open");
    if (leftMs <= 0 || !isOpen) {
      const bytes = driver.meter.total();
      await driver.commit((state) => decideEvaluated(state, command, bytes, clock.now()));
      return;
    }
    await waitForEither(driver, versions, Math.max(1, Math.min(leftMs, silenceLeftMs)), signal);
  }
}

/** A coordinator that drains leaves the evaluation to the next one, which gives the contributors time to come back. */
async function untilReady(driver: RunDriver, signal: AbortSignal): Promise<void> {
  const { presence, isDraining } = driver.parts;
  for (;;) {
    const arrivals = presence.arrivals.version;
    if (isDraining()) {
      await waitWhileDraining(driver, arrivals, signal);
      continue;
    }
    const missing = contributorsOf(driver.state).filter((clientId) => presence.get(clientId) === undefined).length;
    const leftMs = driver.graceLeftMs();
    if (missing === 0 || leftMs <= 0) return;
    driver.note = `waiting for ${missing} clients to come back for the evaluation of round ${driver.state.round}`;
    await presence.arrivals.wait(arrivals, leftMs, signal);
  }
}

/** In the order of their ids. Contributors are asked even between two polls. */
function evaluators(driver: RunDriver): PresentClient[] {
  const { presence, isBusy } = driver.parts;
  const chosen = new Map(
    candidatesOf(driver, "evaluate").map((client): [ClientId, PresentClient] => [client.clientId, client]),
  );
  for (const clientId of contributorsOf(driver.state)) {
    const client = presence.get(clientId);
    if (client !== undefined && !isBusy(clientId) && payable(driver, clientId, "evaluate"))
      chosen.set(clientId, client);
  }
  return [...chosen.values()].sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
}

function contributorsOf(state: RunMachineState): ClientId[] {
  return Object.values(state.pastPlans)
    .filter(({ round, sequence, blobId }) => round === state.round && sequence !== null && blobId !== "")
    .map(({ clientId }) => clientId);
}
