/** Kernels work on whole groups of so many elements; what lies between a block's length and the next multiple is zero. */
export const lanes = 4;

/** `(x + splitter) - splitter` rounds x to a multiple of 2^exponent, for |x| < 2^(51 + exponent). */
export const splitter = (exponent: number): number => 1.5 * 2 ** (52 + exponent);

/**
 * The inner loops of the exact sums over one arena's memory. Two implementations with the same results, bit for bit:
 * `simd-kernels.ts` (WebAssembly) and `plain-kernels.ts` (any engine). Docs: docs/adr/0006-exact-sums.md.
 *
 * Arrays are named by their address, in bytes; `values` are float32, all others float64. A `count` is a multiple of
 * `lanes`. A level of zeros and its address come from the arena.
 */
export interface ExactKernels {
  /**
   * Whether the magnitudes of `count` float32 bit patterns are all zero or in [smallest, largest]. Patterns order as the
   * magnitudes do; `largest` below 0x7f800000 leaves out NaN and the infinities.
   */
  within(values: number, count: number, smallest: number, largest: number): boolean;

  /** The largest magnitude among float32 values, as a bit pattern. */
  largestPattern(values: number, count: number): number;

  /** The largest magnitude of finite float64 values. */
  largestMagnitude(terms: number, count: number): number;

  /** Splits each `weight * value` into a multiple of the splitter's grid, added to `high`, and the rest, added to `low`. */
  foldTwo(values: number, count: number, weight: number, high: number, low: number, splitter: number): void;

  /** Moves the multiples of the splitter's grid from `from` to `to`; whether anything is left in `from`. */
  moveMultiples(from: number, count: number, to: number, splitter: number): boolean;

  /** Adds one level to the rounded sums, and its magnitudes to the sizes that bound their error. */
  addLevel(level: number, count: number, sums: number, sizes: number): void;

  /** `addLevel` for two levels, the lower one first, in place of what `sums` and `sizes` held. */
  joinLevels(low: number, high: number, count: number, sums: number, sizes: number): void;

  /**
   * Each value from element `i` on (a multiple of `lanes`) becomes the float32 of value + sum * inverse. In a group of
   * `lanes` elements with one where an error of `tolerance`, relative to the sizes that went in, could change the float32 or
   * the sign of a zero, each becomes what `meanInFloat64` says of its two levels. Where the size is 0 nothing was added:
   * the value stays.
   *
   * @param low the levels that were joined, and the sum of the weights where float64 has the whole of it; 0 where there are
   * other levels, or it has not
   * @returns the first element of a group that this leaves open, unchanged, or `count`
   */
  roundMeans(
    i: number,
    count: number,
    sums: number,
    sizes: number,
    inverse: number,
    tolerance: number,
    values: number,
    low: number,
    high: number,
    total: number,
  ): number;
}
