import { type Clock, type EvaluationCounts, FedLoraError, type StateDict, type TaskSpec } from "@fedlora/core";
import type { ArtifactManifest, ArtifactRef, OutputRole } from "../engine/artifact.js";
import type { HostTensor, TrainingEngine } from "../engine/engine.js";
import type { AdapterPlan } from "../lora/adapter-plan.js";
import type { OpenBase } from "../models/base-delta/base-versions.js";
import type { BaseModel } from "../models/base-model.js";
import type { EncodedExample } from "./encode-example.js";
import { bucketFor, chooseBuckets, lengthLadder } from "./length-buckets.js";
import type { TrainingProgress } from "./local-trainer.js";
import { makeInputs } from "./make-inputs.js";
import { cutMicroBatches, longestRow } from "./micro-batches.js";
import { maxBuckets } from "./prepare-training.js";
import { assertNotAborted } from "./read-examples.js";
import { RunTimes, type StepMeter } from "./step-meter.js";

export interface EvaluationWork {
  readonly examples: readonly EncodedExample[];
  readonly task: TaskSpec;
  /** Rows of a batch. */
  readonly batch: number;
  readonly adapter: AdapterPlan;
  /** Values of the adapter's tensors, F32. */
  readonly tensors: StateDict;
  readonly baseModel: Pick<BaseModel, "tokenizer">;
  /** The base weights that the request counts on. */
  readonly base: OpenBase;
  readonly graphFor: (length: number) => Promise<ArtifactRef>;
  /** Given: every example counts once, with the mean of its losses cut to this. Absent: each target counts. */
  readonly lossBound?: number | undefined;
  /** Told what the forward passes took, from the second on. */
  readonly timing?: { readonly clock: Clock; readonly meter: StepMeter };
}

/**
 * Losses and predictions on held-out examples. Sums are taken in double precision and in the examples' order by length,
 * so equal data give equal counts.
 *
 * @throws FedLoraError `cancelled` between two batches, and what the engine throws
 */
export async function evaluateAdapter(
  engine: TrainingEngine,
  work: EvaluationWork,
  signal: AbortSignal,
  onProgress: (progress: Pick<TrainingProgress, "step" | "totalSteps" | "loss">) => void,
): Promise<EvaluationCounts> {
  const { task, adapter, baseModel, base, lossBound } = work;
  const batches = cutMicroBatches(work.examples, work.batch);
  const buckets = chooseBuckets(batches.map(longestRow), lengthLadder(task.maxTokens), maxBuckets);
  const numLabels = task.kind === "sequence-classification" ? task.labels.length : 0;
  const confusion = new Array<number>(numLabels * numLabels).fill(0);
  const { weightsFile, pairs } = base;
  const times = new RunTimes();
  let lossSum = 0;
  let count = 0;

  const slot = await engine.createSlot({
    tensors: work.tensors,
    trained: [],
    scalings: adapter.scalings,
    ...(pairs && { baseDelta: pairs.tensors }),
    optimizer: undefined,
  });
  try {
    for (const [index, examples] of batches.entries()) {
      assertNotAborted(signal);
      const artifact = await work.graphFor(bucketFor(longestRow(examples), buckets));
      const { manifest } = artifact;
      const inputs = makeInputs(manifest, { examples, padTokenId: baseModel.tokenizer.padTokenId, weight: 1 });
      const losses = outputName(manifest, "losses");
      const logits = numLabels > 0 ? outputName(manifest, "logits") : undefined;
      const outputs = logits === undefined ? [losses] : [losses, logits];
      const start = work.timing?.clock.monotonicMs() ?? 0;
      const results = await engine.infer({ artifact, weightsFile, slot, inputs, outputs }, signal);
      if (work.timing !== undefined) times.add(manifest, work.timing.clock.monotonicMs() - start);
      for (const [row, example] of examples.entries()) {
        const loss = rowLoss(results[losses], manifest.request.length, row, example, numLabels > 0);
        lossSum += lossBound === undefined ? loss : cutLoss(loss / example.numTargets, lossBound);
        count += lossBound === undefined ? example.numTargets : 1;
        if (logits === undefined) continue;
        const at = example.label * numLabels + largest(results[logits], row, numLabels);
        confusion[at] = (confusion[at] ?? 0) + 1;
      }
      onProgress({ step: index + 1, totalSteps: batches.length, loss: lossSum / count });
    }
  } finally {
    await engine.releaseSlot(slot).catch(() => undefined);
  }
  // The first run also opens the graph.
  if (batches.length > 1) work.timing?.meter.measuredForward(times);
  return { count, lossSum, confusion };
}

/** A loss that is not a number counts as the worst: in a private run a refusal would tell of it. */
const cutLoss = (loss: number, bound: number): number => (loss < bound ? Math.max(0, loss) : bound);

/** @throws FedLoraError `artifact-invalid` for a graph without such an output */
export function outputName(manifest: Pick<ArtifactManifest, "outputs" | "request">, role: OutputRole): string {
  const output = manifest.outputs.find((candidate) => candidate.role === role);
  if (output === undefined) {
    throw new FedLoraError("artifact-invalid", `the ${manifest.request.purpose} graph has no output of role ${role}`);
  }
  return output.name;
}

function rowLoss(
  losses: HostTensor | undefined,
  length: number,
  row: number,
  example: EncodedExample,
  isClassification: boolean,
): number {
  if (isClassification) return losses?.data[row] ?? Number.NaN;
  let sum = 0;
  for (let position = example.targetStart; position < example.tokens.length; position++) {
    sum += losses?.data[row * length + position - 1] ?? Number.NaN;
  }
  return sum;
}

/** Index of the largest of a row's values; the first of equals. */
function largest(logits: HostTensor | undefined, row: number, size: number): number {
  let best = 0;
  for (let index = 1; index < size; index++) {
    if ((logits?.data[row * size + index] ?? 0) > (logits?.data[row * size + best] ?? 0)) best = index;
  }
  return best;
}
