import { FedLoraError, type PlanInstructions, type PrivacyEvent, type RoundPlan } from "@fedlora/core";
import { releasedEvents } from "../privacy/owner-privacy.js";
import type { ClientContext } from "./client-context.js";

/** What work on a plan gave, and what it released where that is less than the plan allows; absent: all of it. */
export interface Released<Result> {
  readonly result: Result;
  readonly events?: readonly PrivacyEvent[] | undefined;
}

/**
 * Does work on a plan whose result will leave the client: enters it in the owner's ledger before the work begins, and what
 * it cost before the result is handed on. Work that was stopped or that failed released nothing, but for an update that is
 * not finite: to say so is a word about the data.
 *
 * Of a run without privacy one entry says all.
 */
export async function accountRelease<Result>(
  plan: RoundPlan,
  instructions: PlanInstructions,
  { state: { ledger }, data, coordinator, clock }: ClientContext,
  work: () => Promise<Released<Result>>,
): Promise<Result> {
  const { runId, round, planId, kind } = plan;
  const mode = instructions.privacy?.mode ?? "none";
  const isKnown = (entry: { readonly runId: string; readonly mode: string; readonly state: string }): boolean =>
    entry.runId === runId && entry.mode === "none" && entry.state !== "withdrawn";
  if (mode === "none" && ledger.entries(data.name).some(isKnown)) return (await work()).result;
  const atMost = releasedEvents(instructions, kind);
  const atMs = clock.now();
  const id = await ledger.reserve({
    atMs,
    dataSet: data.name,
    coordinator,
    runId,
    round,
    planId,
    kind,
    mode,
    events: atMost,
  });
  let released: Released<Result>;
  try {
    released = await work();
  } catch (error) {
    const tells = error instanceof FedLoraError && error.code === "update-not-finite";
    await (tells ? ledger.settle(id, atMost) : ledger.withdraw(id));
    throw error;
  }
  await ledger.settle(id, released.events ?? atMost);
  return released.result;
}
