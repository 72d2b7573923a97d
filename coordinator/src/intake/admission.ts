import { FedLoraError, type Clock } from "@fedlora/core";
import { limits } from "@fedlora/proto";

export interface AdmissionOptions {
  /** Uploads at once. */
  readonly maxUploads: number;
  /** Bytes that all admitted uploads together may hold in memory. */
  readonly budgetBytes: number;
}

/**
 * The most that one upload can hold in memory: what the client may send unasked (the window), what waits between the
 * socket and the store (16 messages of a stream) and the store's writes in flight.
 */
const bufferedBytes = limits.windowBytes + 24 * limits.chunkBytes;

const firstGuessMs = 1000;
const minRetryMs = 200;
const maxRetryMs = 10_000;

/** Decides how many uploads run at once, by number and by the memory they could take. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #clock: Clock;
  #open = 0;
  #reserved = 0;
  /** Moving mean of how long an upload holds its place. */
  #meanHeldMs = firstGuessMs;

  constructor(options: AdmissionOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  get open(): number {
    return this.#open;
  }

  /**
   * Takes a place for a blob of `size` bytes and returns the function that gives it back, to be called once. Throws
   * `upload-busy` with the time after which a place is likely. An upload alone is always admitted.
   */
  admit(size: number): () => void {
    const reserve = Math.min(size, bufferedBytes);
    const { maxUploads, budgetBytes } = this.#options;
    if (this.#open >= maxUploads || (this.#open > 0 && this.#reserved + reserve > budgetBytes)) {
      throw new FedLoraError("upload-busy", `${this.#open} uploads are running, no more fit now`, {
        retryAfterMs: Math.ceil(Math.min(maxRetryMs, Math.max(minRetryMs, this.#meanHeldMs))),
      });
    }
    this.#open += 1;
    this.#reserved += reserve;
    const startedMs = this.#clock.monotonicMs();
    return () => {
      this.#open -= 1;
      this.#reserved -= reserve;
      this.#meanHeldMs += (this.#clock.monotonicMs() - startedMs - this.#meanHeldMs) / 8;
    };
  }
}
