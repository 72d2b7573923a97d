/**
 * The inner loops of the exact sums, apart so that the engine compiles each for one shape of arguments. The unrolled
 * loops are what brings a fold above one gigabyte of float32 per second and core (docs/adr/0006-exact-sums.md).
 */

/** `(x + splitter) - splitter` rounds x to a multiple of 2^exponent, for |x| < 2^(51 + exponent). */
export const splitter = (exponent: number): number => 1.5 * 2 ** (52 + exponent);

const magnitude = 0x7fffffff;

/**
 * Whether the magnitudes of `length` float32 bit patterns from `offset` on are all zero or in [smallest, largest].
 * Patterns order as the magnitudes do; `largest` below 0x7f800000 leaves out NaN and the infinities.
 */
export function within(
  patterns: Int32Array,
  offset: number,
  length: number,
  smallest: number,
  largest: number,
): boolean {
  // The sign bit of `out` is set when one is outside; zeros are rare enough to be looked at only then.
  let out = 0;
  let i = offset;
  const end = offset + length;
  for (; i + 3 < end; i += 4) {
    const a = (patterns[i] ?? 0) & magnitude;
    const b = (patterns[i + 1] ?? 0) & magnitude;
    const c = (patterns[i + 2] ?? 0) & magnitude;
    const d = (patterns[i + 3] ?? 0) & magnitude;
    out |= (largest - a) | (a - smallest) | (largest - b) | (b - smallest);
    out |= (largest - c) | (c - smallest) | (largest - d) | (d - smallest);
  }
  for (; i < end; i++) {
    const a = (patterns[i] ?? 0) & magnitude;
    out |= (largest - a) | (a - smallest);
  }
  return out >= 0 || withinOrZero(patterns, offset, end, smallest, largest);
}

function withinOrZero(patterns: Int32Array, offset: number, end: number, smallest: number, largest: number): boolean {
  let out = 0;
  for (let i = offset; i < end; i++) {
    const a = (patterns[i] ?? 0) & magnitude;
    out |= (largest - a) | ((a - smallest) & -a);
  }
  return out >= 0;
}

/** The largest magnitude among the bit patterns, as a bit pattern. */
export function largestPattern(patterns: Int32Array, offset: number, length: number): number {
  let largest = 0;
  for (let i = offset; i < offset + length; i++) {
    const a = (patterns[i] ?? 0) & magnitude;
    if (a > largest) largest = a;
  }
  return largest;
}

/** Splits each `weight * value` into a multiple of the splitter's grid, added to `high`, and the rest, added to `low`. */
export function foldTwo(
  values: Float32Array,
  offset: number,
  length: number,
  weight: number,
  high: Float64Array,
  low: Float64Array,
  c: number,
): void {
  let i = 0;
  for (; i + 1 < length; i += 2) {
    const s = (values[offset + i] ?? 0) * weight;
    const t = (values[offset + i + 1] ?? 0) * weight;
    const p = s + c - c;
    const q = t + c - c;
    high[i] = (high[i] ?? 0) + p;
    low[i] = (low[i] ?? 0) + (s - p);
    high[i + 1] = (high[i + 1] ?? 0) + q;
    low[i + 1] = (low[i + 1] ?? 0) + (t - q);
  }
  if (i < length) {
    const s = (values[offset + i] ?? 0) * weight;
    const p = s + c - c;
    high[i] = (high[i] ?? 0) + p;
    low[i] = (low[i] ?? 0) + (s - p);
  }
}

/** Moves the multiples of the splitter's grid from `from` to `to`; whether anything is left in `from`. */
export function moveMultiples(from: Float64Array, to: Float64Array, c: number): boolean {
  let left = false;
  for (let i = 0; i < from.length; i++) {
    const value = from[i] ?? 0;
    const part = value + c - c;
    const rest = value - part;
    to[i] = (to[i] ?? 0) + part;
    from[i] = rest;
    if (rest !== 0) left = true;
  }
  return left;
}

/** `addLevel` for two levels, the lower one first, in place of what `sums` and `sizes` held. */
export function joinLevels(low: Float64Array, high: Float64Array, sums: Float64Array, sizes: Float64Array): void {
  for (let i = 0; i < low.length; i++) {
    const a = low[i] ?? 0;
    const b = high[i] ?? 0;
    sums[i] = a + b;
    sizes[i] = Math.abs(a) + Math.abs(b);
  }
}

/** Adds one level to the rounded sums, and its magnitudes to the sizes that bound their error. */
export function addLevel(level: Float64Array, sums: Float64Array, sizes: Float64Array): void {
  for (let i = 0; i < level.length; i++) {
    const part = level[i] ?? 0;
    sums[i] = (sums[i] ?? 0) + part;
    sizes[i] = (sizes[i] ?? 0) + Math.abs(part);
  }
}

/**
 * `out[at + j]` becomes the float32 of `base[at + j] + sums[j] * inverse` for j from `i` on, until one is met where an
 * error of `tolerance`, relative to the sizes that went in, could change the float32 or the sign of a zero.
 *
 * @returns that element's index, or `length`
 */
export function roundMeans(
  i: number,
  length: number,
  sums: Float64Array,
  sizes: Float64Array,
  inverse: number,
  tolerance: number,
  base: Float32Array,
  out: Float32Array,
  at: number,
): number {
  for (; i < length; i++) {
    const from = base[at + i] ?? 0;
    const size = sizes[i] ?? 0;
    const value = from + (sums[i] ?? 0) * inverse;
    const error = (size * inverse + Math.abs(from)) * tolerance;
    const lower = Math.fround(value - error);
    if ((lower !== Math.fround(value + error) || lower === 0) && size !== 0) return i;
    // Without size nothing was added: the base, bit by bit.
    out[at + i] = size === 0 ? from : lower;
  }
  return i;
}

/** The largest magnitude of finite numbers. */
export function largestMagnitude(values: Float64Array): number {
  let largest = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > largest) largest = size;
  }
  return largest;
}
