/** Accuracy and F1 over predicted and true labels, as indices. */

export interface Scores {
  readonly accuracy: number;
  /** F1 of the positive label; 0 where it was neither predicted nor there. */
  readonly f1: number;
}

export function score(
  predicted: readonly number[],
  truth: readonly number[],
  positive: number,
  indices?: readonly number[],
): Scores {
  let correct = 0;
  let truePositives = 0;
  let falsePositives = 0;
  let falseNegatives = 0;
  const count = indices?.length ?? truth.length;
  for (let i = 0; i < count; i++) {
    const index = indices?.[i] ?? i;
    const isPositive = truth[index] === positive;
    const saysPositive = predicted[index] === positive;
    if (predicted[index] === truth[index]) correct++;
    if (isPositive && saysPositive) truePositives++;
    else if (saysPositive) falsePositives++;
    else if (isPositive) falseNegatives++;
  }
  const f1 = (2 * truePositives) / Math.max(1, 2 * truePositives + falsePositives + falseNegatives);
  return { accuracy: correct / Math.max(1, count), f1 };
}

/**
 * Paired bootstrap: the share of resamples of the examples in which `a` has a higher F1 than `b`. 0.95 or more is the
 * usual bar for "a is better". Source: Koehn, Statistical significance tests for machine translation evaluation (2004).
 *
 * @param uniform draws from [0, 1); seeded by the caller so that a report can be repeated
 */
export function pairedBootstrap(
  a: readonly number[],
  b: readonly number[],
  truth: readonly number[],
  positive: number,
  uniform: () => number,
  resamples = 2000,
): number {
  let wins = 0;
  for (let sample = 0; sample < resamples; sample++) {
    const indices = truth.map(() => Math.floor(uniform() * truth.length));
    if (score(a, truth, positive, indices).f1 > score(b, truth, positive, indices).f1) wins++;
  }
  return wins / resamples;
}
