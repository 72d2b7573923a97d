import { FedLoraError, type PlanId, type UpdateReceipt } from "@fedlora/core";
import { deliverUpdate } from "../transfer/uploader.js";
import type { ClientContext } from "./client-context.js";
import { isAbandoned, isFatal } from "./plan-errors.js";
import type { AnsweredPlan, FinishedWork } from "./work-journal.js";

/**
 * Delivers finished work until there is a receipt or a final refusal, and only then lets go of it. Returns whether it
 * was accepted. Safe to call again after a crash at any point.
 */
export async function deliverFinished(
  finished: FinishedWork,
  context: ClientContext,
  signal: AbortSignal,
): Promise<boolean> {
  const { state, connection, clock, emit } = context;
  const { planId, round, blob, metrics } = finished;
  const startedMs = clock.monotonicMs();
  let firstByte: number | undefined;
  let receipt: UpdateReceipt;
  try {
    const update = blob === undefined ? undefined : { ...blob, open: () => state.updates.open(planId) };
    // A file that the disk damaged since it was written must not pass for this client's update.
    if (blob !== undefined) await state.updates.assertIntact(planId, blob.id);
    const onProgress = (sentBytes: number): void => {
      firstByte ??= sentBytes;
      emit({ type: "uploading", round, sentBytes, totalBytes: blob?.size ?? 0 });
    };
    receipt = await deliverUpdate({ planId, update, metrics, onProgress }, connection, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FedLoraError) || isFatal(error)) throw error;
    const outcome = isAbandoned(error) ? "abandoned" : "refused";
    await dropWork(finished, { outcome, code: error.code, reason: error.message }, context);
    return false;
  }
  assertReceipt(receipt, finished, connection.enrolment.clientId);
  context.capability.measuredUpload((blob?.size ?? 0) - (firstByte ?? 0), clock.monotonicMs() - startedMs);
  await state.runs.promote(planId, finished.runId);
  await state.journal.recordAnswer({ planId, outcome: "accepted", code: "", reason: "" });
  await state.removeWorkExcept(undefined);
  emit({ type: "accepted", receipt });
  return true;
}

/** Lets go of a plan that ended without an acceptance, and remembers that it did. */
export async function dropWork(
  { planId, round }: { readonly planId: PlanId; readonly round: number },
  answer: Omit<AnsweredPlan, "planId">,
  { state, emit, logger }: ClientContext,
): Promise<void> {
  logger.warn({ planId, ...answer }, `plan ${answer.outcome}`);
  await state.journal.recordAnswer({ planId, ...answer });
  await state.removeWorkExcept(undefined);
  if (answer.outcome === "abandoned") emit({ type: "abandoned", round, reason: `${answer.code}: ${answer.reason}` });
  else emit({ type: "refused", round, code: answer.code, message: answer.reason });
}

/** The transport has verified the signature; this is whether the signed word is about our update. */
function assertReceipt(receipt: UpdateReceipt, finished: FinishedWork, clientId: string): void {
  const expected = { planId: finished.planId, clientId, blobId: finished.blob?.id ?? "" };
  for (const [field, value] of Object.entries(expected)) {
    const got = receipt[field as keyof typeof expected];
    if (got !== value) {
      throw new FedLoraError("coordinator-untrusted", `the receipt says ${field} "${got}", expected "${value}"`);
    }
  }
}
