import { FedLoraError } from "../errors.js";
import type { TaskSpec } from "../run-spec/schema.js";
import type { EvaluationCounts, UpdateMetrics } from "./client-update.js";

/** What an evaluation says; undefined where there was nothing to divide by or the task has no labels. */
export interface EvaluationMetrics {
  readonly count: number;
  /** Mean loss in nats. */
  readonly loss: number | undefined;
  readonly accuracy: number | undefined;
  /** F1 of the positive label: 2 TP / (2 TP + FP + FN); 0 when the label was neither there nor predicted. */
  readonly f1: number | undefined;
}

const numLabels = (task: TaskSpec): number => (task.kind === "sequence-classification" ? task.labels.length : 0);

/** The counts of an evaluation over no example. */
export function emptyCounts(task: TaskSpec): EvaluationCounts {
  return { count: 0, lossSum: 0, confusion: new Array<number>(numLabels(task) ** 2).fill(0) };
}

/**
 * The counts of one evaluation over all the data of several. Sums are taken in the order given: sort by client for the
 * same bits every time.
 */
export function mergeCounts(task: TaskSpec, parts: Iterable<EvaluationCounts>): EvaluationCounts {
  let { count, lossSum } = emptyCounts(task);
  const confusion = [...emptyCounts(task).confusion];
  for (const part of parts) {
    count += part.count;
    lossSum += part.lossSum;
    part.confusion.forEach((value, i) => (confusion[i] = (confusion[i] ?? 0) + value));
  }
  return { count, lossSum, confusion };
}

/** Loss, accuracy and F1 of the task's positive label (default: the last) from counts. */
export function evaluationMetrics(task: TaskSpec, { count, lossSum, confusion }: EvaluationCounts): EvaluationMetrics {
  const loss = count > 0 ? lossSum / count : undefined;
  const size = numLabels(task);
  if (task.kind !== "sequence-classification" || count === 0)
    return { count, loss, accuracy: undefined, f1: undefined };
  const at = (truth: number, predicted: number): number => confusion[truth * size + predicted] ?? 0;
  const positive = task.positiveLabel === undefined ? size - 1 : task.labels.indexOf(task.positiveLabel);
  let right = 0;
  let positives = 0;
  for (let label = 0; label < size; label += 1) {
    right += at(label, label);
    positives += at(label, positive) + at(positive, label);
  }
  return { count, loss, accuracy: right / count, f1: positives === 0 ? 0 : (2 * at(positive, positive)) / positives };
}

/**
 * Checks counts from a client: finite, not negative, whole numbers where they count, a confusion matrix of the task's
 * size whose entries add up to the count.
 *
 * @throws FedLoraError `update-metrics` naming the field
 */
export function assertEvaluationCounts(task: TaskSpec, { count, lossSum, confusion }: EvaluationCounts): void {
  assertCount("evaluation.count", count);
  assertNumber("evaluation.lossSum", lossSum);
  const cells = numLabels(task) ** 2;
  if (confusion.length !== cells)
    refuse("evaluation.confusion", `has ${confusion.length} cells, the task needs ${cells}`);
  confusion.forEach((value, i) => {
    assertCount(`evaluation.confusion[${i}]`, value);
  });
  const total = confusion.reduce((sum, value) => sum + value, 0);
  if (cells > 0 && total !== count) refuse("evaluation.confusion", `adds up to ${total}, the count is ${count}`);
  if (count === 0 && lossSum !== 0) refuse("evaluation.lossSum", `is ${lossSum} over no example`);
}

/**
 * Checks what travels beside an update: at least one example, whole counts, finite losses and times.
 *
 * @throws FedLoraError `update-weight` for the number of examples, `update-metrics` naming the field for the rest
 */
export function assertUpdateMetrics(task: TaskSpec, metrics: UpdateMetrics): void {
  if (!Number.isSafeInteger(metrics.numExamples) || metrics.numExamples < 1) {
    const message = `numExamples is ${metrics.numExamples}, must be an integer of at least 1`;
    throw new FedLoraError("update-weight", message, { details: { field: "numExamples" } });
  }
  assertCount("numSteps", metrics.numSteps);
  assertNumber("trainMs", metrics.trainMs);
  if (metrics.trainLoss !== undefined) assertNumber("trainLoss", metrics.trainLoss);
  if (metrics.receivedLoss !== undefined) assertNumber("receivedLoss", metrics.receivedLoss);
  if (metrics.evaluation !== undefined) assertEvaluationCounts(task, metrics.evaluation);
}

function assertCount(field: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) refuse(field, `is ${value}, must be an integer of at least 0`);
}

function assertNumber(field: string, value: number): void {
  if (!Number.isFinite(value) || value < 0) refuse(field, `is ${value}, must be a finite number of at least 0`);
}

function refuse(field: string, problem: string): never {
  throw new FedLoraError("update-metrics", `metrics: ${field} ${problem}`, { details: { field } });
}
