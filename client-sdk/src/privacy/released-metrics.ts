import type { PlanInstructions, UpdateMetrics } from "@fedlora/core";

/**
 * What of an update's metrics may leave the client: in a private run nothing that depends on its data. Losses are gone, the
 * number of examples is 1, or what the plan lets it count with; steps are told where the plan fixed them, and the time that
 * training took not at all. An evaluation stays, since in a private run it consists of noised counts.
 */
export function releasedMetrics({ privacy, training }: PlanInstructions, metrics: UpdateMetrics): UpdateMetrics {
  if (privacy === undefined) return metrics;
  const most = privacy.mode === "client" ? (privacy.maxExamples ?? 1) : 1;
  return {
    numExamples: Math.min(metrics.numExamples, most),
    numSteps: training.localSteps === undefined ? 0 : metrics.numSteps,
    trainLoss: undefined,
    evaluation: metrics.evaluation,
    trainMs: 0,
  };
}
