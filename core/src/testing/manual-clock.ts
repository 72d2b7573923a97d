import type { Clock } from "../clock.js";

interface Sleeper {
  readonly at: number;
  readonly order: number;
  readonly wake: () => void;
}

/**
 * A clock that stands still until it is told to go on: no test waits for real time. Sleepers wake in the order of their
 * times (equal times: of their calls), each with the clock at its own time, and what they start may sleep again.
 */
export class ManualClock implements Clock {
  #elapsed = 0;
  #calls = 0;
  readonly #epoch: number;
  readonly #sleepers = new Set<Sleeper>();

  /** @param epochMs what `now()` gives at the start */
  constructor(epochMs = 0) {
    this.#epoch = epochMs;
  }

  now(): number {
    return this.#epoch + this.#elapsed;
  }

  monotonicMs(): number {
    return this.#elapsed;
  }

  /** Sleepers that have not woken. */
  get pending(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      this.#calls += 1;
      const sleeper: Sleeper = {
        at: this.#elapsed + Math.max(0, ms),
        order: this.#calls,
        wake: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Moves the time on, waking who is due; resolves when what they did at once is done. */
  async advance(ms: number): Promise<void> {
    const target = this.#elapsed + ms;
    await settle();
    for (let next = this.#next(target); next !== undefined; next = this.#next(target)) {
      this.#elapsed = next.at;
      this.#sleepers.delete(next);
      next.wake();
      await settle();
    }
    this.#elapsed = target;
  }

  #next(target: number): Sleeper | undefined {
    return [...this.#sleepers].filter(({ at }) => at <= target).sort((a, b) => a.at - b.at || a.order - b.order)[0];
  }
}

/** Lets promise chains and immediate callbacks run. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
