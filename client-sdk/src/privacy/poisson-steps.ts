import { expectedBatch, FedLoraError, SecretRandom, type TaskSpec, type TrainingSpec } from "@fedlora/core";
import type { Tokenizer } from "../models/tokenizer/tokenizer.js";
import { createExampleEncoder, type EncodedExample } from "../train/encode-example.js";
import { chooseBuckets, lengthLadder } from "../train/length-buckets.js";
import type { DataSource } from "../train/local-trainer.js";
import { cutMicroBatches, longestRow } from "../train/micro-batches.js";
import { maxBuckets, type PreparedTraining } from "../train/prepare-training.js";
import { assertNotAborted, readExamples } from "../train/read-examples.js";

export interface PoissonRequest {
  readonly data: DataSource;
  readonly task: TaskSpec;
  /** With `localSteps`. */
  readonly training: TrainingSpec;
  readonly tokenizer: Tokenizer;
  /** Fewer usable examples are refused. */
  readonly minExamples: number;
  /** 32 secret bytes: who knows which examples a step took gets none of the sampling's privacy. */
  readonly key: Uint8Array;
}

export interface PoissonSteps extends PreparedTraining {
  /** Probability with which each step takes each example, in (0, 1]. */
  readonly samplingRate: number;
}

/**
 * Reads the data and draws the batches of DP-SGD: each step takes each usable example with probability
 * batch / examples, independently of all else, so batches differ in size and may be empty. A batch comes in micro-batches of
 * `batchSize` rows; `numExamples` counts all usable examples, taken or not, and a step's `numTargets` its examples.
 *
 * @throws FedLoraError `data-empty`, `data-invalid`, `cancelled`; `privacy-invalid` where there are fewer than `minExamples`
 */
export async function drawPoissonSteps(
  request: PoissonRequest,
  signal: AbortSignal,
  turn: () => Promise<void>,
): Promise<PoissonSteps> {
  const { task, training } = request;
  const usable = await readUsable(request, signal, turn);
  const { samplingRate, batches } = poissonBatches(usable.length, { ...request, name: request.data.name });
  const steps: PreparedTraining["steps"][number][] = [];
  for (const batch of batches) {
    assertNotAborted(signal);
    const taken = batch.flatMap((position) => usable[position] ?? []);
    steps.push({ epoch: 0, microBatches: cutMicroBatches(taken, training.batchSize), numTargets: taken.length });
    await turn();
  }
  const longest = steps.flatMap(({ microBatches }) => microBatches.map(longestRow));
  const buckets = chooseBuckets(longest, lengthLadder(task.maxTokens), maxBuckets);
  return { steps, buckets, numExamples: usable.length, samplingRate };
}

export interface PoissonBatches {
  /** Probability with which each step takes each example, in (0, 1]. */
  readonly samplingRate: number;
  /** Positions of the examples that each step takes, in rising order; drawn as they are asked for, once. */
  readonly batches: Iterable<readonly number[]>;
}

/**
 * The draw itself, of examples 0 to `numExamples` - 1.
 *
 * @throws FedLoraError `privacy-invalid` where there are fewer than `minExamples`
 */
export function poissonBatches(
  numExamples: number,
  { name, training, minExamples, key }: Pick<PoissonRequest, "training" | "minExamples" | "key"> & { name: string },
): PoissonBatches {
  const batch = expectedBatch(training);
  if (numExamples < Math.max(minExamples, batch)) {
    const message = `data set "${name}" has ${numExamples} usable examples, the plan's privacy needs ${minExamples}`;
    throw new FedLoraError("privacy-invalid", message);
  }
  const samplingRate = batch / numExamples;
  return { samplingRate, batches: drawBatches(numExamples, samplingRate, training.localSteps ?? 1, key) };
}

function* drawBatches(numExamples: number, samplingRate: number, steps: number, key: Uint8Array): Generator<number[]> {
  const random = new SecretRandom(key);
  for (let step = 0; step < steps; step += 1) {
    const taken: number[] = [];
    for (let example = 0; example < numExamples; example += 1) if (random.uniform() < samplingRate) taken.push(example);
    yield taken;
  }
  random.erase();
}

async function readUsable(
  { data, task, tokenizer }: PoissonRequest,
  signal: AbortSignal,
  turn: () => Promise<void>,
): Promise<readonly EncodedExample[]> {
  const examples = await readExamples(data.train(signal), data.name, signal, turn);
  const encode = createExampleEncoder(task, tokenizer, data.name);
  const usable: EncodedExample[] = [];
  for (const [index, example] of examples.entries()) {
    assertNotAborted(signal);
    const encoded = encode(example, index);
    if (encoded !== undefined) usable.push(encoded);
    await turn();
  }
  return usable;
}
