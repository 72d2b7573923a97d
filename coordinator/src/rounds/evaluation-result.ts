import { evaluationMetrics, mergeCounts } from "@fedlora/core";
import type { EvaluationCounts, RunSpec, TaskSpec } from "@fedlora/core";

import type { EvaluationResult } from "../service.js";

/**
 * The federation's evaluation from its members' sums: the same numbers as one evaluation of all their data. Undefined when
 * nobody has an example.
 */
export function mergeEvaluations(task: TaskSpec, counts: readonly EvaluationCounts[]): EvaluationResult | undefined {
  const merged = mergeCounts(task, counts);
  const { loss, ...metrics } = evaluationMetrics(task, merged);
  return loss === undefined ? undefined : { ...metrics, loss, confusion: merged.confusion };
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
