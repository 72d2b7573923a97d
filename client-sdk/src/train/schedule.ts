import type { TensorKind, TrainingSpec } from "@fedlora/core";

/**
 * Factor on the peak learning rate, 0 to 1, as Hugging Face's `get_scheduler` has it: linear warm-up from 0, then
 * constant, a line to 0 or half a cosine to 0 at the run's last step.
 *
 * @param step optimizer steps of the run before this one, from 0
 * @param totalSteps of the whole run; undefined where its length is unknown: then nothing falls
 */
export function learningRateFactor(
  schedule: TrainingSpec["schedule"],
  step: number,
  totalSteps: number | undefined,
): number {
  const { kind, warmupSteps } = schedule;
  if (step < warmupSteps) return step / warmupSteps;
  if (kind === "constant" || totalSteps === undefined) return 1;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return kind === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
}

/**
 * Learning rate per trained tensor: B has `loraPlusRatio` times that of A (LoRA+, Hayou et al. 2024), heads have one of
 * their own where the spec gives it.
 */
export function learningRates(
  optimizer: TrainingSpec["optimizer"],
  trained: ReadonlyMap<string, TensorKind>,
  factor: number,
): Readonly<Record<string, number>> {
  const peak: Readonly<Partial<Record<TensorKind, number>>> = {
    "lora-b": optimizer.learningRate * optimizer.loraPlusRatio,
    head: optimizer.headLearningRate ?? optimizer.learningRate,
  };
  return Object.fromEntries(
    [...trained].map(([name, kind]) => [name, (peak[kind] ?? optimizer.learningRate) * factor]),
  );
}
