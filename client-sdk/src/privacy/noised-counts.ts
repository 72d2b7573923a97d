import { type EvaluationCounts, type PlanPrivacy, SecretRandom, type TaskSpec } from "@fedlora/core";

/** What all of a client's examples count together where the client is the unit: fine enough for whole numbers. */
const clientTotal = 1000;

/**
 * Most that one example may add to the sum of losses, in nats: twice the loss of a guess among the labels or among the
 * tokens of the vocabulary. It must not depend on the data.
 */
export function lossBound(task: TaskSpec, vocabularySize: number): number {
  return 2 * Math.log(task.kind === "sequence-classification" ? Math.max(2, task.labels.length) : vocabularySize);
}

/**
 * An evaluation's counts with Gaussian noise of multiplier `metricsNoise` on what is released: the cells of the confusion
 * matrix, or the number of texts, and the sum of losses in units of `bound`.
 *
 * Where the unit is an example (mode `example`) that is 1 in a cell and at most 1 of loss: a sensitivity of sqrt(2). Where
 * it is the client, the counts are first brought to a total of 1000, so that all clients weigh the same: two clients differ
 * by at most sqrt(2) x 1000 in the cells and 1000 in the loss, together sqrt(3) x 1000. The noised numbers are rounded,
 * cut at 0 and made consistent, which costs no privacy.
 *
 * @param counts one per example, each loss at most `bound`
 * @param key 32 secret bytes
 */
export function noiseCounts(
  counts: EvaluationCounts,
  bound: number,
  privacy: PlanPrivacy & { readonly metricsNoise: number },
  key: Uint8Array,
): EvaluationCounts {
  const { mode, metricsNoise } = privacy;
  const isPerClient = mode !== "example";
  const scale = isPerClient ? clientTotal / Math.max(1, counts.count) : 1;
  const sensitivity = (isPerClient ? clientTotal : 1) * Math.sqrt(isPerClient ? 3 : 2);
  const isLabelled = counts.confusion.length > 0;
  const cells = isLabelled ? counts.confusion : [counts.count];
  const released = Float64Array.from([...cells, counts.lossSum / bound], (value) => value * scale);
  const random = new SecretRandom(key);
  random.addNormals(released, metricsNoise * sensitivity);
  random.erase();
  const noised = [...released.subarray(0, cells.length)].map((value) => Math.max(0, Math.round(value)));
  const count = noised.reduce((sum, value) => sum + value, 0);
  // A float32 leaves nothing of the sum's lowest bits.
  const losses = Math.fround((released[cells.length] ?? 0) * bound);
  return {
    count,
    lossSum: Math.min(Math.max(0, losses), count * bound),
    confusion: isLabelled ? noised : [],
  };
}
