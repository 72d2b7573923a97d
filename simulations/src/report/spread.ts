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

/** `0.9312 ± 0.0041`; without the deviation where there is one value, or where it would be shown as zero. */
export function shown(spread: Spread | undefined, digits: number): string | undefined {
  if (spread === undefined) return undefined;
  const { mean, std } = spread;
  const hasSpread = std !== undefined && Number(std.toFixed(digits)) !== 0;
  return !hasSpread ? mean.toFixed(digits) : `${mean.toFixed(digits)} ± ${std.toFixed(digits)}`;
}

export function scaled(spread: Spread | undefined, factor: number): Spread | undefined {
  if (spread === undefined) return undefined;
  const { mean, std, count } = spread;
  return { mean: mean * factor, std: std === undefined ? undefined : std * factor, count };
}
