import type { Clock } from "@fedlora/core";

/** A clock whose sleeps pass at once, moving its time on: tests of retries and waits take no time. */
export function createFastClock(startMs = Date.UTC(2026, 0, 5, 12)): Clock & { elapsedMs(): number } {
  let elapsedMs = 0;
  return {
    now: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    elapsedMs: () => elapsedMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        elapsedMs += signal?.aborted === true ? 0 : ms;
        setImmediate(() => {
          if (signal?.aborted === true) reject(signal.reason as Error);
          else resolve();
        });
      }),
  };
}
