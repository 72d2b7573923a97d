import type { EncodedExample } from "./encode-example.js";

/**
 * Cuts the examples of one optimizer step into micro-batches of at most `rows`, longest first: rows of like length come
 * together and little padding is computed. The step's gradient is a sum, so the order changes nothing but rounding.
 */
export function cutMicroBatches(
  examples: readonly EncodedExample[],
  rows: number,
): readonly (readonly EncodedExample[])[] {
  const sorted = [...examples].sort((a, b) => b.tokens.length - a.tokens.length);
  const batches: EncodedExample[][] = [];
  for (let start = 0; start < sorted.length; start += rows) batches.push(sorted.slice(start, start + rows));
  return batches;
}

/** Tokens of the longest row. */
export function longestRow(batch: readonly EncodedExample[]): number {
  return batch.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 0);
}
