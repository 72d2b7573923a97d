import { FedLoraError } from "@fedlora/core";
import type { Redis } from "ioredis";
import type { RedisAddress } from "./redis-address.js";

/** It says why in an answer that comes too late to be read. */
const closedAtOnce = "the connection was closed; a Redis without a password does that to other machines";

/** Between two tries to reach a Redis that is away, at most. */
const maxRetryMs = 1000;

export interface RedisLinkOptions {
  readonly address: RedisAddress;
  /** How long Redis may be away after it was there once. */
  readonly patienceMs: number;
  readonly say: (text: string) => void;
  /** It stayed away for longer, or refuses commands. */
  readonly onLost: (error: FedLoraError) => void;
}

/** A connection to Redis that comes back by itself, within a bound. */
export class RedisLink {
  readonly redis: Redis;
  readonly #options: RedisLinkOptions;
  #lastError = closedAtOnce;
  #awaySince: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(redis: Redis, options: RedisLinkOptions) {
    this.redis = redis;
    this.#options = options;
  }

  /** Throws `queue-unavailable` with the address at once where nobody answers there. */
  static async open(options: RedisLinkOptions): Promise<RedisLink> {
    const { Redis } = await import("ioredis");
    const redis = new Redis(options.address.target, {
      lazyConnect: true,
      connectTimeout: 5000,
      // A command waits for the connection; how long that may be away is decided here.
      maxRetriesPerRequest: null,
      retryStrategy: (times) => Math.min(50 * times, maxRetryMs),
    });
    const link = new RedisLink(redis, options);
    redis.on("error", (error: Error) => (link.#lastError = describe(error)));
    try {
      await redis.connect();
      await redis.ping();
    } catch (cause) {
      redis.disconnect();
      const reason = cause instanceof Error && /^[A-Z]+ /.test(cause.message) ? cause.message : link.#lastError;
      throw new FedLoraError("queue-unavailable", `no answer from Redis at ${options.address.shown}: ${reason}`, {
        cause,
      });
    }
    redis.on("close", () => link.#onAway());
    redis.on("ready", () => link.#onBack());
    return link;
  }

  get isAway(): boolean {
    return this.#awaySince !== undefined;
  }

  /** Ends the connection; commands that wait are given up. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.redis.disconnect();
  }

  #onAway(): void {
    if (this.#isClosed || this.#awaySince !== undefined) return;
    const { address, patienceMs, say, onLost } = this.#options;
    this.#awaySince = performance.now();
    const seconds = Math.ceil(patienceMs / 1000);
    say(`Redis at ${address.shown} is away; waiting for it up to ${seconds} s`);
    this.#timer = setTimeout(() => {
      const message = `Redis at ${address.shown} has been away for ${seconds} s: ${this.#lastError}`;
      onLost(new FedLoraError("queue-unavailable", message));
    }, patienceMs);
  }

  #onBack(): void {
    if (this.#awaySince === undefined) return;
    clearTimeout(this.#timer);
    const seconds = ((performance.now() - this.#awaySince) / 1000).toFixed(1);
    this.#awaySince = undefined;
    this.#options.say(`Redis at ${this.#options.address.shown} is back after ${seconds} s`);
  }
}

/** Several addresses of one name fail together, with a message each. */
function describe(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((each) => (each as Error).message).join("; ");
  return error.message;
}
