import type { PlanInstructions, PlanKind, UpdateMetrics } from "@fedlora/core";

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

/** What of the progress: in a private run no loss, and steps where the plan fixed their number. */
export function releasedProgress<Progress extends { step: number; totalSteps: number; loss: number }>(
  { privacy, training }: PlanInstructions,
  kind: PlanKind,
  progress: Progress,
): Progress {
  if (privacy === undefined) return progress;
  const isFixed = kind === "train" && training.localSteps !== undefined;
  return { ...progress, loss: Number.NaN, ...(!isFixed && { step: 0, totalSteps: 0 }) };
}
