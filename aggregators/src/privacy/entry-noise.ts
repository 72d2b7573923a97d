import type { PlanPrivacy, RunSpec } from "@fedlora/core";

/** Noise as it lies on the tensors that travel, in one round. */
export interface EntryNoise {
  /** Standard deviation on every entry: of each client's update, or in client mode of the mean. */
  readonly std: number;
  /** sum_k p_k^2 of the updates that are averaged, equal ones; 1 where the noise lies on the mean itself. */
  readonly concentration: number;
  /** What the standard deviation is made of, for a person. */
  readonly origin: string;
}

/**
 * What a run's privacy puts on the entries that travel, where the data say nothing (signal-free).
 *
 * `local`: noise multiplier times the sensitivity 2 C. `client`: noise multiplier times C over the expected cohort, on the
 * mean. `example`: the noise of the round's S steps, learning rate times noise multiplier times C over the expected batch,
 * times sqrt(S), for sgd; AdamW divides by the noise's own size, so that only learning rate times sqrt(S) is left.
 *
 * @param noiseMultiplier standard deviation over the sensitivity, above 0
 * @param stepsPerRound optimizer steps of a client per round, at least 1
 */
export function entryNoise(
  { cohort, training }: Pick<RunSpec, "cohort" | "training">,
  { mode, clipNorm }: Pick<PlanPrivacy, "mode" | "clipNorm">,
  noiseMultiplier: number,
  stepsPerRound: number,
): EntryNoise {
  const clients = cohort.size;
  const equalShares = 1 / clients;
  if (mode === "client") {
    const std = (noiseMultiplier * clipNorm) / clients;
    return { std, concentration: 1, origin: `${noiseMultiplier} x ${clipNorm} / ${clients} clients, on the mean` };
  }
  if (mode === "local") {
    const std = noiseMultiplier * 2 * clipNorm;
    return { std, concentration: equalShares, origin: `${noiseMultiplier} x 2 x ${clipNorm}, on each update` };
  }
  const { optimizer, batchSize, gradientAccumulation } = training;
  const { learningRate } = optimizer;
  const steps = Math.sqrt(stepsPerRound);
  if (optimizer.kind === "adamw") {
    const origin = `learning rate ${learningRate} x sqrt(${stepsPerRound} steps): AdamW divides by the size of the noise`;
    return { std: learningRate * steps, concentration: equalShares, origin };
  }
  const batch = batchSize * gradientAccumulation;
  const origin = `learning rate ${learningRate} x ${noiseMultiplier} x ${clipNorm} / batch ${batch} x sqrt(${stepsPerRound} steps)`;
  const std = (learningRate / (1 - optimizer.momentum)) * ((noiseMultiplier * clipNorm) / batch) * steps;
  return { std, concentration: equalShares, origin };
}
