/** Shorter rows save nothing. */
const shortestBucket = 32;

/**
 * Lengths that graphs are compiled for: 32, 64, 128, ... and last `maxTokens` itself.
 *
 * @param maxTokens at least 1
 */
export function lengthLadder(maxTokens: number): readonly number[] {
  const ladder: number[] = [];
  for (let length = shortestBucket; length < maxTokens; length *= 2) ladder.push(length);
  return [...ladder, maxTokens];
}

/**
 * Picks at most `most` lengths of the ladder for batches whose longest rows are `needed`, so that few padding tokens are
 * computed: an engine keeps few graphs open, and opening one costs more than some padding.
 *
 * @returns ascending; the last holds the longest batch
 */
export function chooseBuckets(needed: readonly number[], ladder: readonly number[], most: number): readonly number[] {
  const counts = new Map<number, number>();
  for (const length of needed) {
    const bucket = bucketFor(length, ladder);
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  const chosen = [...counts].sort(([a], [b]) => a - b);
  while (chosen.length > most) {
    // Merge the bucket whose batches lose least by the step up to the next one.
    let cheapest = 0;
    let cheapestCost = Number.POSITIVE_INFINITY;
    for (let index = 0; index + 1 < chosen.length; index++) {
      const [length, count] = chosen[index] ?? [0, 0];
      const cost = count * ((chosen[index + 1]?.[0] ?? 0) - length);
      if (cost < cheapestCost) [cheapest, cheapestCost] = [index, cost];
    }
    const [[, merged] = [0, 0]] = chosen.splice(cheapest, 1);
    const target = chosen[cheapest];
    if (target !== undefined) target[1] += merged;
  }
  return chosen.map(([length]) => length);
}

/** The smallest of ascending buckets that holds `length`; the last one holds everything. */
export function bucketFor(length: number, buckets: readonly number[]): number {
  return buckets.find((bucket) => bucket >= length) ?? buckets.at(-1) ?? length;
}
