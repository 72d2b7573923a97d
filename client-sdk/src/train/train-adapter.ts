import {
  type Clock,
  deriveKey,
  FedLoraError,
  type PlanInstructions,
  randomKey,
  type StateDict,
  toStateDict,
} from "@fedlora/core";
import type { ArtifactRef } from "../engine/artifact.js";
import type { TrainingEngine } from "../engine/engine.js";
import type { AdapterPlan } from "../lora/adapter-plan.js";
import type { OpenBase } from "../models/base-delta/base-versions.js";
import type { BaseModel } from "../models/base-model.js";
import type { PrivateSteps } from "../privacy/private-steps.js";
import { releasedMetrics } from "../privacy/released-metrics.js";
import { newControls } from "./control-variates.js";
import { directiveOf, heldTensors, slotDirectives } from "./directives.js";
import { drawDropoutMasks, streamPerModule } from "./dropout-masks.js";
import { bucketFor } from "./length-buckets.js";
import type { TrainingProgress, TrainRequest, TrainResult } from "./local-trainer.js";
import { makeInputs } from "./make-inputs.js";
import { longestRow } from "./micro-batches.js";
import type { PreparedTraining, TrainingStep } from "./prepare-training.js";
import { assertNotAborted } from "./read-examples.js";
import { type LocalStepTimes, RunTimes, type StepMeter, trainedDepth } from "./step-meter.js";
import { learningRateFactor, learningRates } from "./schedule.js";

/** Everything that one round of local training needs. */
export interface TrainingWork {
  readonly request: TrainRequest;
  readonly prepared: PreparedTraining;
  readonly adapter: AdapterPlan;
  /** Start values of the adapter's tensors, F32. */
  readonly tensors: StateDict;
  /** Mean loss of the received model, where the plan asks for it. */
  readonly receivedLoss?: number | undefined;
  readonly baseModel: BaseModel;
  /** The base weights that the request counts on. */
  readonly base: OpenBase;
  readonly graphFor: (length: number) => Promise<ArtifactRef>;
  readonly clock: Clock;
  /** Told what the steps took. */
  readonly meter: StepMeter;
  readonly turn: () => Promise<void>;
  /** Present: DP-SGD. */
  readonly privateSteps?: PrivateSteps | undefined;
}

/**
 * Runs the prepared steps on an engine. The loss of an optimizer step is the mean over the targets of all its
 * micro-batches, so accumulation over k batches of n gives the gradient of one batch of k n. In DP-SGD it is the sum of
 * the examples' losses, each the mean over its own targets, whose clipped gradients are noised once per step.
 *
 * @throws FedLoraError `cancelled` between two steps, `update-not-finite`, and what the engine throws
 */
export async function trainAdapter(
  engine: TrainingEngine,
  work: TrainingWork,
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<TrainResult> {
  const { request, prepared, adapter, clock, privateSteps } = work;
  const { instructions } = request;
  const { optimizer } = instructions.training;
  const start = clock.monotonicMs();
  const slot = await engine.createSlot({
    tensors: work.tensors,
    trained: [...adapter.trained.keys()],
    scalings: adapter.scalings,
    ...(work.base.pairs && { baseDelta: work.base.pairs.tensors }),
    ...slotDirectives(instructions, adapter, request.start),
    optimizer: {
      kind: optimizer.kind,
      momentum: optimizer.momentum,
      beta1: optimizer.beta1,
      beta2: optimizer.beta2,
      epsilon: optimizer.epsilon,
      weightDecay: optimizer.weightDecay,
    },
  });
  try {
    if (request.optimizerState !== undefined) await restoreOptimizer(engine, slot, request.optimizerState);
    const losses: StepLoss[] = [];
    const totalSteps = prepared.steps.length;
    const times = new RunTimes();
    let engineMs = 0;
    let numTokens = 0;
    for (const [index, step] of prepared.steps.entries()) {
      const { loss, stepMs } = await takeStep(engine, slot, work, step, index, times, signal);
      engineMs += stepMs;
      numTokens += countTokens(step);
      losses.push({ epoch: step.epoch, loss, numTargets: step.numTargets });
      const seconds = Math.max(1e-3, (clock.monotonicMs() - start) / 1000);
      onProgress({ stage: "training", step: index + 1, totalSteps, loss, tokensPerSecond: numTokens / seconds });
    }
    const values = await engine.readSlot(slot);
    const trained = toStateDict([...values].filter(([name]) => adapter.trained.has(name)));
    const metrics = {
      numExamples: prepared.numExamples,
      numSteps: totalSteps,
      trainLoss: meanLoss(losses, instructions),
      evaluation: undefined,
      trainMs: clock.monotonicMs() - start,
      ...(work.receivedLoss !== undefined && { receivedLoss: work.receivedLoss }),
    };
    return {
      trained: toStateDict([...trained, ...controlsAfter(trained, work)]),
      metrics: releasedMetrics(instructions, metrics),
      optimizerState: instructions.keepOptimizerState ? await engine.readOptimizer(slot) : undefined,
      stepMs: engineMs / totalSteps,
      ...(instructions.privacy === undefined && { stepTimes: stepTimes(work, times) }),
      ...(privateSteps && { privacy: { numExamples: prepared.numExamples, events: privateSteps.events(totalSteps) } }),
    };
  } finally {
    // After a failure the engine may be gone, and the slot with it; that failure is the one to report.
    await engine.releaseSlot(slot).catch(() => undefined);
  }
}

/** Not of a private plan: times follow from how many examples of which lengths there are. */
function stepTimes({ meter, adapter, baseModel }: TrainingWork, times: RunTimes): LocalStepTimes | undefined {
  return meter.measuredTraining(times, trainedDepth(adapter.adapted, baseModel.manifest.modules));
}

/** None where the plan has no control variates. Their learning rate is the same at every step. */
function controlsAfter(trained: StateDict, { request, prepared, adapter }: TrainingWork): StateDict {
  const { instructions, start } = request;
  if (directiveOf(instructions, "control-variate") === undefined) return new Map();
  const rates = learningRates(instructions.training.optimizer, adapter.trained, 1);
  return newControls(trained, start, prepared.steps.length, rates);
}

interface StepLoss {
  readonly epoch: number;
  readonly loss: number;
  readonly numTargets: number;
}

async function takeStep(
  engine: TrainingEngine,
  slot: string,
  work: TrainingWork,
  step: TrainingStep,
  index: number,
  times: RunTimes,
  signal: AbortSignal,
): Promise<{ loss: number; stepMs: number }> {
  const { request, prepared, baseModel, base, adapter, privateSteps } = work;
  const { instructions, round, streamKey } = request;
  const { training } = instructions;
  const { weightsFile } = base;
  let loss = 0;
  let stepMs = 0;
  for (const [micro, examples] of step.microBatches.entries()) {
    assertNotAborted(signal);
    const artifact = await work.graphFor(bucketFor(longestRow(examples), prepared.buckets));
    const key = deriveKey(streamKeyOf(instructions, streamKey, round), "dropout", index, micro);
    const streamOf = privateSteps?.maskStream() ?? streamPerModule(key);
    const dropoutMasks = await drawDropoutMasks(artifact.manifest, streamOf, instructions.adapter.dropout, work.turn);
    const inputs = makeInputs(artifact.manifest, {
      examples,
      padTokenId: baseModel.tokenizer.padTokenId,
      weight: privateSteps === undefined ? 1 / step.numTargets : ({ numTargets }) => 1 / numTargets,
      dropoutMasks,
    });
    const clipping = privateSteps && { exampleClipping: privateSteps.clipping };
    const result = await engine.accumulate({ artifact, weightsFile, slot, inputs, ...clipping }, signal);
    loss += privateSteps === undefined ? result.loss : result.loss / step.numTargets;
    stepMs += result.stepMs;
    times.add(artifact.manifest, result.stepMs);
  }
  assertNotAborted(signal);
  const stepsPerRound = prepared.steps.length;
  const factor = learningRateFactor(
    training.schedule,
    (round - 1) * stepsPerRound + index,
    instructions.rounds === undefined ? undefined : instructions.rounds * stepsPerRound,
  );
  await engine.apply({
    slot,
    learningRates: learningRates(training.optimizer, adapter.trained, factor),
    // In DP-SGD the examples are clipped instead: to clip their noised sum again would clip little but noise.
    maxGradNorm: privateSteps === undefined ? (training.maxGradNorm ?? undefined) : undefined,
    proximalMu: directiveOf(instructions, "proximal")?.mu,
    held: heldTensors(instructions, request.isNewcomer === true, index),
    ...(privateSteps && { noise: privateSteps.noise() }),
  });
  return { loss: step.microBatches.length === 0 ? Number.NaN : loss, stepMs };
}

/** Root of everything random in a client's round. */
export function streamKeyOf(
  instructions: PlanInstructions,
  streamKey: string,
  round: number,
): ReturnType<typeof deriveKey> {
  return deriveKey(randomKey(instructions.seed), "local-training", streamKey, round);
}

/** Moments of another set of tensors (a method may train other ones this round) are of no use: a fresh start then. */
async function restoreOptimizer(engine: TrainingEngine, slot: string, state: StateDict): Promise<void> {
  try {
    await engine.writeOptimizer(slot, state);
  } catch (error) {
    if (!(error instanceof FedLoraError && error.code === "tensor-invalid")) throw error;
  }
}

function countTokens(step: TrainingStep): number {
  return step.microBatches.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
}

/** Over the last epoch where epochs are counted, else over all steps; each target counts the same. */
function meanLoss(losses: readonly StepLoss[], { training }: PlanInstructions): number {
  const lastEpoch = losses.at(-1)?.epoch;
  const counted = training.localSteps === undefined ? losses.filter(({ epoch }) => epoch === lastEpoch) : losses;
  const numTargets = counted.reduce((sum, step) => sum + step.numTargets, 0);
  return counted.reduce((sum, step) => sum + step.loss * step.numTargets, 0) / numTargets;
}
