import { FedLoraError } from "@fedlora/core";
import type { Job, Worker } from "bullmq";
import type { SimulationData } from "../data/simulation-data.js";
import type { Room } from "../runtime/room.js";
import { atMost } from "./at-most.js";
import { ContentClient } from "./content-client.js";
import type { Session } from "./identity.js";
import { queueNameOf, workerOptions, type ShardJob } from "./queue-settings.js";
import type { RedisLink } from "./redis-link.js";
import { workOnShard } from "./shard-work.js";

export type WorkerEvent =
  | { readonly event: "ready"; readonly worker: string; readonly trainers: number; readonly engine: string }
  | { readonly event: "session"; readonly of: string }
  | { readonly event: "shard"; readonly shard: string; readonly requests: number }
  | { readonly event: "answered"; readonly shard: string; readonly requests: number; readonly ms: number }
  | { readonly event: "failed"; readonly shard: string; readonly code: string; readonly reason: string }
  | { readonly event: "session-over"; readonly of: string; readonly shards: number; readonly requests: number };

export interface SessionWorkerOptions {
  readonly name: string;
  readonly worker: string;
  readonly session: Session;
  readonly link: RedisLink;
  readonly room: Room;
  readonly data: SimulationData;
  readonly folder: string;
  readonly onEvent: (event: WorkerEvent) => void;
}

/** Closing takes no longer, even where Redis is away. */
const closeMs = 3000;

/** Takes the shards of one session, one after the other. */
export class SessionWorker {
  readonly #options: SessionWorkerOptions;
  readonly #contents: ContentClient;
  readonly #over = new AbortController();
  readonly #worker: Worker<ShardJob>;
  readonly #done = { shards: 0, requests: 0 };

  private constructor(options: SessionWorkerOptions, BullWorker: typeof Worker) {
    const { name, link, session, folder, worker } = options;
    this.#options = options;
    this.#contents = new ContentClient({ store: session.store, folder, worker });
    this.#worker = new BullWorker<ShardJob>(queueNameOf(name), (job) => this.#work(job), {
      ...workerOptions,
      connection: link.redis,
    });
    // Told by the link, or by whoever waits for the job.
    this.#worker.on("error", () => undefined);
    options.onEvent({ event: "session", of: session.name });
  }

  static async start(options: SessionWorkerOptions): Promise<SessionWorker> {
    const { Worker } = await import("bullmq");
    return new SessionWorker(options, Worker);
  }

  get sessionId(): string {
    return this.#options.session.id;
  }

  /** Gives up the shard that is under way, which goes to another worker where the session still wants it. */
  async close(): Promise<void> {
    this.#over.abort(new FedLoraError("cancelled", "the worker was told to stop"));
    await atMost(closeMs, this.#worker.close());
    // BullMQ's own connection would look for a Redis that is away for ever.
    if (this.#options.link.isAway) void this.#worker.disconnect().catch(() => undefined);
    this.#options.onEvent({ event: "session-over", of: this.#options.session.name, ...this.#done });
  }

  async #work({ data: { session, shard, requests } }: Job<ShardJob>): Promise<string> {
    const { onEvent, room, data } = this.#options;
    if (session !== this.sessionId) return "of another session";
    const { signal } = this.#over;
    const begin = performance.now();
    onEvent({ event: "shard", shard, requests });
    try {
      const result = await aborted(workOnShard(shard, { room, data, contents: this.#contents }, signal), signal);
      await this.#contents.sendResult(shard, result, signal);
      this.#done.shards += 1;
      this.#done.requests += requests;
      onEvent({ event: "answered", shard, requests, ms: Math.round(performance.now() - begin) });
      return "answered";
    } catch (thrown) {
      const { code, message } = FedLoraError.from(thrown);
      // Another worker was faster, after this one had fallen silent.
      if (code === "blob-not-found") return "answered before";
      onEvent({ event: "failed", shard, code, reason: message });
      // BullMQ keeps the message alone.
      throw new Error(`${code}: ${message}`, { cause: thrown });
    }
  }
}

/** What is under way in a thread cannot be stopped, but need not be waited for. */
async function aborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(FedLoraError.from(signal.reason));
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
