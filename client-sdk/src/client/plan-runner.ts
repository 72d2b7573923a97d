import {
  assertUpdateMetrics,
  blobIdOf,
  FedLoraError,
  writeSafetensors,
  type BlobId,
  type ErrorCode,
  type PlanId,
  type PlanInstructions,
  type RoundPlan,
  type StateDict,
  type UpdateMetrics,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { TrainingProgress, TrainResult } from "../train/local-trainer.js";
import { releasedMetrics, releasedProgress } from "../privacy/released-metrics.js";
import { accountRelease } from "./account-release.js";
import type { ClientContext } from "./client-context.js";
import { deliverFinished, dropWork } from "./delivery.js";
import { computeUpdate } from "./local-update.js";
import { isAbandoned, PlanDeclined } from "./plan-errors.js";
import { preparePlan, type PreparedPlan } from "./prepare-plan.js";
import { ProgressReporter } from "./progress-reporter.js";
import type { FinishedWork } from "./work-journal.js";

/**
 * One plan from its arrival to its end: checked, downloaded, trained or evaluated, made durable, delivered. A plan whose
 * end this client remembers is not worked on again. Returns whether the plan was answered with an accepted update.
 */
export async function workOnPlan(
  plan: RoundPlan,
  sizes: Readonly<Record<BlobId, number>>,
  context: ClientContext,
  signal: AbortSignal,
): Promise<boolean> {
  const answered = context.state.journal.answered(plan.planId);
  if (answered !== undefined) {
    const code = answered.outcome === "accepted" ? "update-conflict" : answered.code;
    await tellDeclined(plan.planId, code, `this client ended the plan before: ${answered.outcome}`, context, signal);
    return false;
  }
  context.emit({ type: "plan", plan });
  const closed = new AbortController();
  const leave = (): void => closed.abort(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  const reporter = new ProgressReporter({
    connection: context.connection,
    planId: plan.planId,
    clock: context.clock,
    intervalMs: context.reportIntervalMs,
    capability: () => context.capability.report(),
    onClosed: () => closed.abort(new FedLoraError("round-closed", "the coordinator closed the plan")),
  });
  try {
    const finished = await finishWork(plan, sizes, context, reporter, closed.signal);
    reporter.update({
      stage: "uploading",
      step: finished.metrics.numSteps,
      totalSteps: finished.metrics.numSteps,
      loss: Number.NaN,
    });
    return await deliverFinished(finished, context, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PlanDeclined) return await decline(plan, error, context, signal);
    const cause: unknown = closed.signal.aborted ? closed.signal.reason : error;
    if (cause instanceof FedLoraError && isAbandoned(cause)) {
      await dropWork(plan, { outcome: "abandoned", code: cause.code, reason: cause.message }, context);
      return false;
    }
    throw error;
  } finally {
    signal.removeEventListener("abort", leave);
    await reporter.stop();
  }
}

async function finishWork(
  plan: RoundPlan,
  sizes: Readonly<Record<BlobId, number>>,
  context: ClientContext,
  reporter: ProgressReporter,
  signal: AbortSignal,
): Promise<FinishedWork> {
  const { planId, runId, round } = plan;
  const prepared = await preparePlan(plan, sizes, context, signal);
  warnOfSeed(plan, prepared, context);
  const onProgress = (progress: TrainingProgress): void => {
    const told = releasedProgress(prepared.instructions, plan.kind, progress);
    reporter.update({ ...told, stage: plan.kind === "train" ? "training" : "evaluating" });
    context.emit({ type: "progress", round, ...progress });
  };
  const { update, metrics } =
    plan.kind === "train"
      ? await train(plan, prepared, context, signal, onProgress)
      : { update: undefined, metrics: await evaluate(plan, prepared, context, signal, onProgress) };
  signal.throwIfAborted();
  let blob: FinishedWork["blob"];
  if (update !== undefined) {
    const { codec, updateForm: form } = prepared.instructions;
    const metadata = { codec, form, ...(plan.frozen.length === 0 ? {} : { frozen: plan.frozen.join(" ") }) };
    const bytes = writeSafetensors(update, { metadata });
    await context.state.updates.save(planId, bytes);
    blob = { id: blobIdOf(bytes, nodeSha256), size: bytes.byteLength };
  }
  const finished = { planId, runId, round, blob, metrics };
  await context.state.journal.recordFinished(finished);
  return finished;
}

async function train(
  plan: RoundPlan,
  { instructions, start, baseDeltas }: PreparedPlan,
  context: ClientContext,
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<{ update: StateDict; metrics: UpdateMetrics }> {
  const { state, trainer, data, connection, secrets } = context;
  const optimizerState = instructions.keepOptimizerState ? await state.runs.optimizer(plan.runId) : undefined;
  const streamKey = `${plan.runId}/${connection.enrolment.clientId}`;
  const isNewcomer = await state.runs.lacksOwn(plan.runId, plan.round, instructions);
  const client = { instructions, start, data, secrets, baseDeltas, isNewcomer };
  const request = { ...client, round: plan.round, streamKey, optimizerState };
  const leftOut = instructions.errorFeedback === true ? await state.runs.residual(plan.runId) : undefined;
  const { result, update, residual } = await discreetly(signal, () =>
    accountRelease(plan, instructions, context, async () => {
      const trained: TrainResult = await trainer.train(request, signal, onProgress);
      assertUpdateMetrics(instructions.task, trained.metrics);
      warnOfDelta(plan, instructions, trained, context);
      const changes = computeUpdate(instructions, start, trained.trained, leftOut, secrets);
      return { result: { result: trained, ...changes }, events: trained.privacy?.events };
    }),
  );
  // How long a step takes depends on the texts that it took.
  if (instructions.privacy === undefined)
    context.capability.measuredStep(result.stepMs, result.stepTimes && { ...result.stepTimes, runId: plan.runId });
  // Sketches are no values to start from.
  const kept = instructions.updateForm === "sketch" ? new Map() : result.trained;
  await state.runs.stage(plan, kept, instructions.keepOptimizerState ? result.optimizerState : undefined, residual);
  return { update, metrics: releasedMetrics(instructions, result.metrics) };
}

async function evaluate(
  plan: RoundPlan,
  { instructions, start, baseDeltas }: PreparedPlan,
  context: ClientContext,
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<UpdateMetrics> {
  const { trainer, data, clock, emit, secrets } = context;
  const startedMs = clock.monotonicMs();
  const work = async (): Promise<{ readonly result: UpdateMetrics }> => {
    if (data.evaluation === undefined) throw new FedLoraError("data-empty", "this client holds no evaluation examples");
    const counts = await trainer.evaluate({ instructions, start, data, baseDeltas, secrets }, signal, onProgress);
    // Noise may leave nothing; that is an answer like any other, and a refusal would be one, too.
    const isEmpty = instructions.privacy === undefined && counts.count === 0;
    if (isEmpty) throw new FedLoraError("data-empty", "the evaluation examples held nothing to count");
    const result: UpdateMetrics = {
      numExamples: Math.max(1, Math.round(counts.count)),
      numSteps: 0,
      trainLoss: undefined,
      evaluation: counts,
      trainMs: clock.monotonicMs() - startedMs,
    };
    assertUpdateMetrics(instructions.task, result);
    emit({ type: "evaluated", round: plan.round, counts });
    return { result: releasedMetrics(instructions, result) };
  };
  return discreetly(signal, () => accountRelease(plan, instructions, context, work));
}

/** Loud, and in every round: a seed that was meant for a test must not go unnoticed. */
function warnOfSeed({ planId, round }: RoundPlan, { instructions }: PreparedPlan, context: ClientContext): void {
  if (instructions.privacy === undefined || context.secrets.isSecret) return;
  const message = "insecureNoiseSeed is set: the noise can be taken off again, this release is NOT PRIVATE";
  context.logger.warn({ planId, round }, message);
}

/** With a delta above one over n, a mechanism may give away a whole example and still keep its promise. */
function warnOfDelta(
  { round, planId }: RoundPlan,
  { privacy }: PlanInstructions,
  { privacy: own }: TrainResult,
  { data, emit, logger }: ClientContext,
): void {
  if (privacy === undefined || own === undefined || privacy.delta <= 1 / own.numExamples) return;
  const message =
    `delta ${privacy.delta} of the run is above one over the ${own.numExamples} examples of data set "${data.name}": ` +
    "its guarantee would allow an example to be given away";
  logger.warn({ planId, round }, message);
  emit({ type: "warning", round, code: "privacy-invalid", message });
}

/** Whatever training throws declines the plan, unless it was told to stop. */
async function discreetly<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    throw PlanDeclined.discreetly(error);
  }
}

async function decline(
  plan: RoundPlan,
  { error, shared, final }: PlanDeclined,
  context: ClientContext,
  signal: AbortSignal,
): Promise<false> {
  context.logger.warn({ err: error, planId: plan.planId }, "plan declined");
  await context.state.journal.recordAnswer({
    planId: plan.planId,
    outcome: "declined",
    code: error.code,
    reason: error.message,
  });
  await context.state.removeWorkExcept(undefined);
  await tellDeclined(plan.planId, error.code, shared, context, signal);
  context.emit({ type: "declined", plan, code: error.code, reason: error.message });
  if (final) throw error;
  return false;
}

/** The slot is refilled at once when the coordinator hears of it; where it cannot, the plan's own deadline does the same. */
async function tellDeclined(
  planId: PlanId,
  code: string,
  reason: string,
  { connection }: ClientContext,
  signal: AbortSignal,
): Promise<void> {
  try {
    await connection.call((transport) => transport.decline(planId, code, reason, signal), signal);
  } catch (error) {
    signal.throwIfAborted();
    const ignorable: readonly ErrorCode[] = ["round-closed", "plan-unknown", "plan-not-yours"];
    if (!(error instanceof FedLoraError) || !ignorable.includes(error.code)) throw error;
  }
}
