const infinity = 0x7f800000;
const lowBits = 16;

/** The bits of magnitudes, which are ordered as the magnitudes are. */
export const magnitudeBits = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Which values are the k largest by magnitude: all above `threshold` and, of those equal to it, the first `ties`. */
export interface LargestRule {
  /** Bits of a float32 magnitude. */
  readonly threshold: number;
  readonly ties: number;
}

/**
 * Finds the k-th largest magnitude over several arrays by counting, in two passes: the upper half of the bits first,
 * then the lower half among those that share the upper one. Memory does not depend on the number of values.
 *
 * @param k at least 1, at most the number of values
 * @param sweep shows every array, in the same order at each call
 * @param onNonFinite is told of the first NaN or infinity and throws
 */
export function findLargest(
  k: number,
  sweep: (visit: (values: Float32Array, name: string) => void) => void,
  onNonFinite: (values: Float32Array, name: string, index: number) => never,
): LargestRule {
  const upper = new Uint32Array(2 ** (31 - lowBits));
  sweep((values, name) => {
    const bits = magnitudeBits(values);
    for (let i = 0; i < bits.length; i += 1) {
      const magnitude = (bits[i] ?? 0) & 0x7fffffff;
      if (magnitude >= infinity) onNonFinite(values, name, i);
      const bin = magnitude >>> lowBits;
      upper[bin] = (upper[bin] ?? 0) + 1;
    }
  });
  const first = binOf(upper, k);
  const lower = new Uint32Array(2 ** lowBits);
  sweep((values) => {
    const bits = magnitudeBits(values);
    const { length } = bits;
    for (let i = 0; i < length; i += 1) {
      const magnitude = (bits[i] ?? 0) & 0x7fffffff;
      if (magnitude >>> lowBits !== first.bin) continue;
      const bin = magnitude & 0xffff;
      lower[bin] = (lower[bin] ?? 0) + 1;
    }
  });
  const second = binOf(lower, first.rank);
  return { threshold: ((first.bin << lowBits) | second.bin) >>> 0, ties: second.rank };
}

/** The bin that holds the k-th counted from the top, and its rank among those in the bin, from 1. */
function binOf(counts: Uint32Array, k: number): { bin: number; rank: number } {
  let rank = k;
  let bin = counts.length - 1;
  while (bin > 0 && rank > (counts[bin] ?? 0)) {
    rank -= counts[bin] ?? 0;
    bin -= 1;
  }
  return { bin, rank };
}
