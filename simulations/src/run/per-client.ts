import type { EvaluationCounts } from "@fedlora/core";

/** What a federated evaluation says of its clients one by one: each counts the same, however many examples it has. */
export interface PerClient {
  readonly clients: number;
  readonly meanAccuracy: number | undefined;
  readonly meanLoss: number;
  /** Mean over the worst tenth of the clients, at least one. */
  readonly worstAccuracy: number | undefined;
  readonly worstLoss: number;
}

/** Of clients that have examples; undefined for none. */
export function perClient(counts: readonly EvaluationCounts[]): PerClient | undefined {
  const own = counts.filter(({ count }) => count > 0);
  if (own.length === 0) return undefined;
  const losses = own.map(({ count, lossSum }) => lossSum / count).sort((a, b) => b - a);
  const hasLabels = own.every(({ confusion }) => confusion.length > 0);
  const accuracies = hasLabels ? own.map((each) => accuracyOf(each)).sort((a, b) => a - b) : [];
  const worst = Math.max(1, Math.floor(own.length / 10));
  return {
    clients: own.length,
    meanAccuracy: hasLabels ? mean(accuracies) : undefined,
    meanLoss: mean(losses),
    worstAccuracy: hasLabels ? mean(accuracies.slice(0, worst)) : undefined,
    worstLoss: mean(losses.slice(0, worst)),
  };
}

function accuracyOf({ count, confusion }: EvaluationCounts): number {
  const size = Math.sqrt(confusion.length);
  let right = 0;
  for (let label = 0; label < size; label += 1) right += confusion[label * size + label] ?? 0;
  return right / count;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
