import type { RunSpec, UpdateMetrics } from "@fedlora/core";

/**
 * What is kept of the metrics beside an update. In a private run they are releases that nobody accounts for, but for noised
 * evaluations, so whatever a client sends of them by mistake is dropped before it is written down.
 */
export function keptMetrics({ privacy }: RunSpec, metrics: UpdateMetrics): UpdateMetrics {
  if (privacy.mode === "none") return metrics;
  return {
    numExamples: 1,
    numSteps: 0,
    trainLoss: undefined,
    evaluation: privacy.metricsNoise === undefined ? undefined : metrics.evaluation,
    trainMs: 0,
  };
}
