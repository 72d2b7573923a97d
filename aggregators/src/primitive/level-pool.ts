/** Elements of every array here, and of an exact block. */
export const blockLength = 1024;

/** 16 MiB at most are kept. */
const maxKept = 2048;
const kept: Float64Array[] = [];

/**
 * Arrays of `blockLength` zeros that are used again: a round makes and ends thousands of sums, and fresh memory costs
 * more (page faults, cold caches, collection) than the additions themselves.
 */
export function takeZeros(): Float64Array {
  return kept.pop()?.fill(0) ?? new Float64Array(blockLength);
}

/** The caller must hold no other reference to the array. */
export function giveBack(values: Float64Array): void {
  if (kept.length < maxKept) kept.push(values);
}
