import { FedLoraError, type Clock } from "@fedlora/core";

export interface RetryPolicy {
  /** First delay; doubles with every failure in a row. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** Failures in a row after which the error is thrown; undefined: never, the coordinator may come back tomorrow. */
  readonly maxAttempts: number | undefined;
}

export const defaultRetryPolicy: RetryPolicy = { baseDelayMs: 500, maxDelayMs: 30_000, maxAttempts: undefined };

export interface RetryDependencies {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly policy: RetryPolicy;
  readonly onRetry?: (error: FedLoraError, delayMs: number) => void;
}

/**
 * Delays between failed attempts: exponential with jitter in [half, all) of the step, so that a thousand clients of a
 * coordinator that restarts do not come back at once. Where the other side names a time, it is honoured and spread by a quarter.
 */
export class Backoff {
  readonly #dependencies: RetryDependencies;
  #failures = 0;

  constructor(dependencies: RetryDependencies) {
    this.#dependencies = dependencies;
  }

  /** Call when something got through: the next failure is the first again. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits as long as this failure asks for, or throws it where it is not retryable or one too many. */
  async wait(thrown: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const error = FedLoraError.from(thrown);
    const { clock, policy, onRetry } = this.#dependencies;
    this.#failures++;
    if (!error.retryable || this.#failures >= (policy.maxAttempts ?? Infinity)) throw error;
    const delayMs = this.#delayMs(error.retryAfterMs);
    onRetry?.(error, delayMs);
    await clock.sleep(delayMs, signal);
  }

  #delayMs(retryAfterMs: number | undefined): number {
    const { policy, random } = this.#dependencies;
    if (retryAfterMs !== undefined && retryAfterMs > 0) return Math.round(retryAfterMs * (1 + random() / 4));
    const step = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** Math.min(this.#failures - 1, 30));
    return Math.round(step * (0.5 + random() / 2));
  }
}

/** Repeats `operation` until it succeeds, fails for good, or the signal aborts. */
export async function withRetry<T>(
  operation: () => Promise<T>,
  dependencies: RetryDependencies,
  signal: AbortSignal,
): Promise<T> {
  const backoff = new Backoff(dependencies);
  for (;;) {
    try {
      signal.throwIfAborted();
      return await operation();
    } catch (error) {
      await backoff.wait(error, signal);
    }
  }
}
