/** Mean and standard deviation (of a sample) over the seeds; `std` is undefined for a single one. */
export interface Spread {
  readonly mean: number;
  readonly std: number | undefined;
  readonly count: number;
}

/** Of no value undefined. Infinite values give an infinite mean without a deviation. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    mean,
    std: values.length === 1 || !Number.isFinite(mean) ? undefined : Math.sqrt(squares / (values.length - 1)),
    count: values.length,
  };
}
