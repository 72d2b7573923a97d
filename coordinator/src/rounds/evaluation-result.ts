import type { EvaluationCounts, RunSpec, TaskSpec } from "@fedlora/core";

import type { EvaluationResult } from "../service.js";

/**
 * The federation's evaluation from its members' sums: the same numbers as one evaluation of all their data. Undefined when
 * nobody has an example. Accuracy and F1 need labels; F1 is that of the task's positive label, 0 when it was neither
 * there nor predicted.
 */
export function mergeEvaluations(task: TaskSpec, counts: readonly EvaluationCounts[]): EvaluationResult | undefined {
  const count = counts.reduce((sum, each) => sum + each.count, 0);
  if (count <= 0) return undefined;
  const loss = counts.reduce((sum, each) => sum + each.lossSum, 0) / count;
  if (task.kind !== "sequence-classification") {
    return { count, loss, accuracy: undefined, f1: undefined, confusion: [] };
  }
  const { labels, positiveLabel } = task;
  const size = labels.length;
  const confusion = new Array<number>(size * size).fill(0);
  for (const each of counts) {
    for (const [index, value] of each.confusion.entries()) confusion[index] = (confusion[index] ?? 0) + value;
  }
  const at = (truth: number, predicted: number): number => confusion[truth * size + predicted] ?? 0;
  const indices = labels.map((_, index) => index);
  const total = confusion.reduce((sum, value) => sum + value, 0);
  const right = indices.reduce((sum, label) => sum + at(label, label), 0);
  const positive = positiveLabel === undefined ? size - 1 : labels.indexOf(positiveLabel);
  const predicted = indices.reduce((sum, truth) => sum + at(truth, positive), 0);
  const actual = indices.reduce((sum, label) => sum + at(positive, label), 0);
  return {
    count,
    loss,
    accuracy: total === 0 ? undefined : right / total,
    f1: predicted + actual === 0 ? 0 : (2 * at(positive, positive)) / (predicted + actual),
    confusion,
  };
}

/** Whether a result beats the best so far by the run's metric; a result that lacks the metric never does. */
export function isBetter({ evaluation }: RunSpec, result: EvaluationResult, best: EvaluationResult | null): boolean {
  const value = result[evaluation.metric];
  if (value === undefined) return false;
  const previous = best?.[evaluation.metric];
  if (previous === undefined) return true;
  return evaluation.metric === "loss" ? value < previous : value > previous;
}

export function reachesTarget({ evaluation }: RunSpec, result: EvaluationResult): boolean {
  const value = result[evaluation.metric];
  const { metric, target } = evaluation;
  if (target === undefined || value === undefined) return false;
  return metric === "loss" ? value <= target : value >= target;
}
