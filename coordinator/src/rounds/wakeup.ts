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
  wait(version: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return waitForAny(this.#clock, [{ wakeup: this, version }], timeoutMs, signal);
  }

  /** Has `wake` called at every `notify` until the result is. */
  onNotify(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }
}

/** As `Wakeup.wait`, for whichever is told first: one timer for all of them. */
export async function waitForAny(
  clock: Clock,
  waits: readonly { readonly wakeup: Wakeup; readonly version: number }[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (waits.some(({ wakeup, version }) => wakeup.version !== version)) return;
  const timer = new AbortController();
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const forget = waits.map(({ wakeup }) => wakeup.onNotify(end));
  signal.addEventListener("abort", end, { once: true });
  clock.sleep(Math.max(0, Math.ceil(timeoutMs)), timer.signal).then(end, end);
  try {
    await ended;
  } finally {
    for (const each of forget) each();
    signal.removeEventListener("abort", end);
    timer.abort(over);
  }
  signal.throwIfAborted();
}
