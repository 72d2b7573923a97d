/**
 * The largest rank that enters a graph as a pair of inputs; beyond it a change is merged into the weights. At 64 the pair
 * costs a fifth of a 576 x 576 matrix's own arithmetic and its values travel to the engine once per client and round; a
 * merge copies the whole weights file and opens every graph anew, a second or more for 135 M parameters.
 */
export const maxPairRank = 64;

/** Ranks that graphs are compiled for; a pair is padded with zeros to the next of them. */
export const paddedRanks: readonly number[] = [4, 8, 16, 32, maxPairRank];

/** @param rank from 0 to `maxPairRank`; 0 needs no pair */
export function paddedRank(rank: number): number {
  return rank === 0 ? 0 : (paddedRanks.find((padded) => padded >= rank) ?? maxPairRank);
}

/**
 * Decides which changes of a chain are merged into the weights, and which together: `segments` are merged one after the
 * other, each rounded once to float32, and `pair` stays beside the weights. As soon as the changes since the last
 * segment exceed `maxPairRank` together, they become the next segment. So the cut depends on the changes alone: every
 * client has the same weights at a version, to the bit, whenever it joined.
 */
export function splitChain<Delta extends { readonly rank: number }>(
  deltas: readonly Delta[],
): { readonly segments: readonly (readonly Delta[])[]; readonly pair: readonly Delta[] } {
  const segments: Delta[][] = [];
  let open: Delta[] = [];
  for (const delta of deltas) {
    open.push(delta);
    if (open.reduce((sum, { rank }) => sum + rank, 0) <= maxPairRank) continue;
    segments.push(open);
    open = [];
  }
  return { segments, pair: open };
}
