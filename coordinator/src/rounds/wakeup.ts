import type { Clock } from "@fedlora/core";

/** Why a timer is not needed any more; one error for all, since making one is most of the cost of a wait. */
const over = new Error("the wait is over");

/** Lets a loop sleep until something changed or its time is up. */
export class Wakeup {
  readonly #clock: Clock;
  #version = 0;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Take it before looking at the state, pass it to `wait`: a change in between is not slept through. */
  get version(): number {
    return this.#version;
  }

  notify(): void {
    this.#version += 1;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves when `notify` was called since `version`, or after `timeoutMs`; rejects with the signal's reason. */
  async wait(version: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#version !== version) return;
    const timer = new AbortController();
    const stop = (): void => timer.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    let wake: () => void = stop;
    try {
      await Promise.race([
        this.#clock.sleep(Math.max(0, Math.ceil(timeoutMs)), timer.signal).catch(() => undefined),
        new Promise<void>((resolve) => {
          wake = resolve;
          this.#waiting.add(resolve);
        }),
      ]);
    } finally {
      this.#waiting.delete(wake);
      signal.removeEventListener("abort", stop);
      timer.abort(over);
    }
    signal.throwIfAborted();
  }
}
