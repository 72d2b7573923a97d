import type { PresentClient } from "../rounds/presence.js";

/**
 * Poisson sampling: every candidate takes part by its own coin, so the cohort may be empty, or larger than is expected. Who is in
 * it must not be foreseen: the amplification by sampling that is accounted for rests on it.
 *
 * @param rate of each, in (0, 1]
 * @param secretBytes unpredictable
 */
export function drawCohort(
  candidates: readonly PresentClient[],
  rate: number,
  secretBytes: (length: number) => Uint8Array,
): readonly PresentClient[] {
  const sorted = [...candidates].sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
  return sorted.filter(() => uniform(secretBytes(8)) < rate);
}

/** In [0, 1), a multiple of 2^-53. */
function uniform(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return ((view.getUint32(0) >>> 5) * 2 ** 26 + (view.getUint32(4) >>> 6)) * 2 ** -53;
}
