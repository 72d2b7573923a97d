import type { EvaluationMetrics, TaskSpec } from "@fedlora/core";

export interface TestMetrics extends EvaluationMetrics {
  /** exp(loss): among how many tokens a language model hesitates on average; absent for other tasks. */
  readonly perplexity?: number;
}

/** Adds what people compare language models by. */
export function withPerplexity<Metrics extends Pick<EvaluationMetrics, "loss">>(
  task: TaskSpec,
  metrics: Metrics,
): Metrics & { readonly perplexity?: number } {
  const { loss } = metrics;
  return task.kind !== "causal-lm" || loss === undefined ? metrics : { ...metrics, perplexity: Math.exp(loss) };
}
