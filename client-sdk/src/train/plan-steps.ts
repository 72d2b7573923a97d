import { FedLoraError } from "@fedlora/core";

export interface StepPlanRequest {
  /** Examples of the data set. */
  readonly numExamples: number;
  /** Examples of one optimizer step: rows of a micro-batch times micro-batches. */
  readonly examplesPerStep: number;
  /** One of both: optimizer steps to take, or passes over the data. */
  readonly limit: { readonly steps: number } | { readonly epochs: number };
  /** Order of the examples in an epoch, counted from 0: a permutation of 0 .. numExamples - 1. */
  readonly orderOf: (epoch: number) => readonly number[];
  /** Whether an example can be learnt from; called when its turn comes, once per epoch. */
  readonly isUsable: (index: number) => Promise<boolean>;
}

export interface PlannedStep {
  readonly epoch: number;
  /** Indices of the examples, at most `examplesPerStep`, at least one. */
  readonly examples: readonly number[];
}

/**
 * Which examples each optimizer step takes. Every epoch visits every usable example once, in an order of its own; its
 * last step may hold fewer. A limit in steps runs through as many epochs as it needs and may end within one; examples
 * whose turn never comes are never looked at.
 *
 * @throws FedLoraError `data-empty` where no example is usable
 */
export async function planSteps(request: StepPlanRequest): Promise<readonly PlannedStep[]> {
  const { limit, examplesPerStep } = request;
  const maxSteps = "steps" in limit ? limit.steps : Number.POSITIVE_INFINITY;
  const maxEpochs = "epochs" in limit ? limit.epochs : Number.POSITIVE_INFINITY;
  const steps: PlannedStep[] = [];
  for (let epoch = 0; epoch < maxEpochs && steps.length < maxSteps; epoch++) {
    let examples: number[] = [];
    const stepsBefore = steps.length;
    for (const index of request.orderOf(epoch)) {
      if (steps.length === maxSteps) break;
      if (!(await request.isUsable(index))) continue;
      examples.push(index);
      if (examples.length < examplesPerStep) continue;
      steps.push({ epoch, examples });
      examples = [];
    }
    if (examples.length > 0 && steps.length < maxSteps) steps.push({ epoch, examples });
    if (steps.length === stepsBefore) {
      throw new FedLoraError("data-empty", `none of the ${request.numExamples} examples can be learnt from`);
    }
  }
  return steps;
}
