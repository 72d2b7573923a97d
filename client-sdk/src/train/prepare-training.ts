import { deriveKey, type RandomKey, RandomStream, type TaskSpec, type TrainingSpec } from "@fedlora/core";
import type { Tokenizer } from "../models/tokenizer/tokenizer.js";
import { createExampleEncoder, type EncodedExample } from "./encode-example.js";
import { chooseBuckets, lengthLadder } from "./length-buckets.js";
import type { DataSource } from "./local-trainer.js";
import { cutMicroBatches, longestRow } from "./micro-batches.js";
import { planSteps } from "./plan-steps.js";
import { assertNotAborted, readExamples } from "./read-examples.js";

/** Graphs that an engine keeps open. */
export const maxBuckets = 3;

export interface TrainingStep {
  readonly epoch: number;
  readonly microBatches: readonly (readonly EncodedExample[])[];
  /** Targets of all micro-batches: what the step's loss is a mean over. */
  readonly numTargets: number;
}

export interface PreparedTraining {
  readonly steps: readonly TrainingStep[];
  /** Lengths of the graphs that the steps need, ascending. */
  readonly buckets: readonly number[];
  /** Different examples that the steps take. */
  readonly numExamples: number;
}

/**
 * Reads the data, decides which examples each step takes and turns these into ids. Everything random comes from `key`.
 *
 * @throws FedLoraError `data-empty`, `data-invalid`, `cancelled`
 */
export async function prepareTraining(
  request: {
    readonly data: DataSource;
    readonly task: TaskSpec;
    readonly training: TrainingSpec;
    readonly tokenizer: Tokenizer;
    readonly key: RandomKey;
  },
  signal: AbortSignal,
  turn: () => Promise<void>,
): Promise<PreparedTraining> {
  const { data, task, training, key } = request;
  const examples = await readExamples(data.train(signal), data.name, signal, turn);
  const encode = createExampleEncoder(task, request.tokenizer, data.name);
  const encoded = new Map<number, EncodedExample | undefined>();

  const planned = await planSteps({
    numExamples: examples.length,
    examplesPerStep: training.batchSize * training.gradientAccumulation,
    limit: training.localSteps === undefined ? { epochs: training.localEpochs ?? 1 } : { steps: training.localSteps },
    orderOf: (epoch) => new RandomStream(deriveKey(key, "shuffle", epoch)).shuffle([...examples.keys()]),
    isUsable: async (index) => {
      assertNotAborted(signal);
      if (!encoded.has(index)) {
        encoded.set(index, encode(examples[index], index));
        await turn();
      }
      return encoded.get(index) !== undefined;
    },
  });

  const steps = planned.map(({ epoch, examples: indices }): TrainingStep => {
    const taken = indices.flatMap((index) => encoded.get(index) ?? []);
    return {
      epoch,
      microBatches: cutMicroBatches(taken, training.batchSize),
      numTargets: taken.reduce((sum, { numTargets }) => sum + numTargets, 0),
    };
  });
  const longest = steps.flatMap(({ microBatches }) => microBatches.map(longestRow));
  return {
    steps,
    buckets: chooseBuckets(longest, lengthLadder(task.maxTokens), maxBuckets),
    numExamples: new Set(planned.flatMap((step) => step.examples)).size,
  };
}
