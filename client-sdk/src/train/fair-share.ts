import type { Clock } from "@fedlora/core";

/** Below a frame of 60 Hz: an application's timers and the network's keepalive never wait long for us. */
const sliceMs = 8;

/**
 * Keeps long work on the event loop polite: `await turn()` between small pieces lets everything else run whenever the
 * pieces since the last turn took 8 ms together.
 */
export function createFairShare(clock: Clock): () => Promise<void> {
  let sliceStart = clock.monotonicMs();
  return async () => {
    if (clock.monotonicMs() - sliceStart < sliceMs) return;
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    sliceStart = clock.monotonicMs();
  };
}
