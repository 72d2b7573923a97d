import { FedLoraError, isErrorCode } from "@fedlora/core";
import type { Queue } from "bullmq";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { atMost } from "./at-most.js";
import { ContentStore, type ResultAnswer } from "./content-store.js";
import { assertSameContent, type Holder, type Session, type SharedContent, type WorkerIdentity } from "./identity.js";
import { jobOptions, queueNameOf, stalledMessage, stalledReason, type ShardJob } from "./queue-settings.js";
import { assertMayListen, parseListenAddress, parseRedisAddress } from "./redis-address.js";
import { RedisLink } from "./redis-link.js";
import { Roster, queuePrefix, sessionMs, tickMs } from "./roster.js";

/** How a simulation reaches workers on other machines. */
export interface QueueOptions {
  readonly redis: string;
  /** `host:port` where workers fetch tensors; undefined: where this machine reaches Redis from, any port. */
  readonly listen: string | undefined;
  /** Whether Redis and workers may be reached beyond loopback without TLS. */
  readonly insecure: boolean;
  /** How long Redis may be away, and how long no worker may be there. */
  readonly patienceMs: number;
}

export interface QueueSessionOptions extends QueueOptions {
  /** The scenario's name; one session of a name at a time. */
  readonly name: string;
  /** What a person calls to start a worker. */
  readonly workerCommand: string;
  readonly content: Omit<SharedContent, "engine">;
  readonly onResult: (shard: string, bytes: Uint8Array, worker: string) => ResultAnswer;
  /** A shard will never come, or none will. */
  readonly onLost: (error: FedLoraError) => void;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Closing takes no longer, even where Redis is away. */
const closeMs = 3000;

/**
 * One simulation's place in Redis: its claim on the scenario's name, its workers, its jobs and the store of their tensors.
 * Jobs are told apart by their shards' hashes, so that one that is added twice is one.
 */
export class QueueSession {
  readonly store: ContentStore;
  readonly #options: QueueSessionOptions;
  readonly #link: RedisLink;
  readonly #roster: Roster;
  readonly #queue: Queue<ShardJob>;
  readonly #jobs = new Map<string, ShardJob>();
  #session: Session;
  #workers: readonly WorkerIdentity[] = [];
  #aloneSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(
    options: QueueSessionOptions,
    parts: { link: RedisLink; roster: Roster; queue: Queue<ShardJob>; store: ContentStore; session: Session },
  ) {
    this.#options = options;
    this.#link = parts.link;
    this.#roster = parts.roster;
    this.#queue = parts.queue;
    this.store = parts.store;
    this.#session = parts.session;
  }

  /**
   * Claims the scenario's name and waits for workers.
   *
   * @throws FedLoraError `queue-unavailable`, `worker-missing` after the patience, `engine-mixed`, `worker-mismatch`,
   *   `config-invalid` where another session has the name, `insecure-refused`
   */
  static async open(options: QueueSessionOptions): Promise<QueueSession> {
    const { insecure, patienceMs, say, name } = options;
    const address = parseRedisAddress(options.redis, insecure);
    let lost: FedLoraError | undefined;
    const onLost = (error: FedLoraError): void => {
      lost = error;
      // Commands that wait end, here or wherever the session has got to.
      link.close();
      options.onLost(error);
    };
    const link = await RedisLink.open({ address, patienceMs, say, onLost });
    let session: QueueSession | undefined;
    try {
      const store = await openStore(options, link);
      const { Queue } = await import("bullmq");
      const queue = new Queue<ShardJob>(queueNameOf(name), { connection: link.redis, prefix: queuePrefix });
      // Told by the link.
      queue.on("error", () => undefined);
      const claim = { id: randomUUID(), name: `${hostname()}/${process.pid}`, store: store.address };
      session = new QueueSession(options, { link, roster: new Roster(link.redis, name), queue, store, session: claim });
      await session.#begin();
      return session;
    } catch (error) {
      await session?.close();
      link.close();
      throw lost ?? error;
    }
  }

  get id(): string {
    return this.#session.id;
  }

  /** What all workers have. */
  get content(): SharedContent {
    const { content } = this.#session;
    if (content === undefined) throw new FedLoraError("internal", "the session has not begun");
    return content;
  }

  /** Processes that work for the session, at least 1. */
  get numWorkers(): number {
    return Math.max(1, this.#workers.length);
  }

  /** Trainings at a time of all of them. */
  get numTrainers(): number {
    return this.#workers.reduce((sum, { trainers }) => sum + trainers, 0);
  }

  /** Adds a job, or the same one again. */
  add(job: ShardJob): void {
    this.#jobs.set(job.shard, job);
    this.#queue.add("shard", job, { ...jobOptions, jobId: job.shard }).catch((thrown: unknown) => {
      if (!this.#isClosed) this.#options.onLost(FedLoraError.from(thrown));
    });
  }

  /** A shard is answered; whoever still works on it works for nothing. */
  settle(shard: string): void {
    this.#jobs.delete(shard);
  }

  /** Takes everything of the session out of Redis. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const clean = async (): Promise<void> => {
      await this.#roster.endSession(this.id);
      await this.#queue.obliterate({ force: true });
    };
    await atMost(closeMs, clean());
    await this.store.close();
    this.#link.close();
  }

  async #begin(): Promise<void> {
    const { signal, name, content } = this.#options;
    const other = await this.#roster.claim(this.#session);
    if (other !== undefined) {
      const message = `${other.name} simulates "${name}" on this Redis already; if it was killed, try again in ${sessionMs / 1000} s`;
      throw new FedLoraError("config-invalid", message);
    }
    // What a session that was killed left behind.
    await this.#queue.obliterate({ force: true });
    while (this.#workers.length === 0) {
      signal.throwIfAborted();
      this.#workers = await this.#roster.workers();
      this.#lookForWorkers();
      if (this.#workers.length === 0) await new Promise((resolve) => setTimeout(resolve, tickMs));
      await this.#roster.claim(this.#session);
    }
    const [first] = this.#workers as [WorkerIdentity];
    for (const worker of this.#workers) assertSameContent(worker, first);
    const own: Holder = { ...content, engine: first.engine, name: this.#session.name };
    assertSameContent(first, own);
    this.#session = { ...this.#session, content: { ...content, engine: first.engine } };
    await this.#roster.claim(this.#session);
    this.#options.say(`Workers: ${this.#workers.map((worker) => worker.name).join(", ")}`);
    this.#timer = setTimeout(() => void this.#tick(), tickMs);
  }

  async #tick(): Promise<void> {
    try {
      if (!this.#link.isAway) await this.#look();
    } catch (thrown) {
      if (!this.#isClosed && !this.#link.isAway) this.#options.onLost(FedLoraError.from(thrown));
    }
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#tick(), tickMs);
  }

  async #look(): Promise<void> {
    const other = await this.#roster.claim(this.#session);
    if (other !== undefined)
      throw new FedLoraError("config-invalid", `${other.name} took over "${this.#options.name}"`);
    const before = this.#workers;
    const there = await this.#roster.workers();
    const { fingerprint } = this.content.engine;
    // Others see the session's content themselves and leave.
    this.#workers = there.filter(({ engine }) => engine.fingerprint === fingerprint);
    for (const { name } of missing(before, this.#workers)) this.#options.say(`Worker ${name} is gone`);
    for (const { name } of missing(this.#workers, before)) this.#options.say(`Worker ${name} is here`);
    this.#lookForWorkers();
    for (const [shard, job] of this.#jobs) await this.#lookAfter(shard, job);
  }

  /** A Redis that came back empty has forgotten the job; one that was given up is told once. */
  async #lookAfter(shard: string, job: ShardJob): Promise<void> {
    const held = await this.#queue.getJob(shard);
    if (!this.#jobs.has(shard) || this.#isClosed) return;
    if (held === undefined) {
      this.add(job);
    } else if (await held.isFailed()) {
      this.#options.onLost(failureOf(held.failedReason));
    }
  }

  /** Says how to start a worker where none is there, and gives up in the end. */
  #lookForWorkers(): void {
    if (this.#workers.length > 0) {
      this.#aloneSince = undefined;
      return;
    }
    const { say, workerCommand, patienceMs, redis, name } = this.#options;
    const now = performance.now();
    const seconds = Math.ceil(patienceMs / 1000);
    if (this.#aloneSince === undefined) {
      this.#aloneSince = now;
      say(`No worker is there; waiting for one up to ${seconds} s. Start it with\n  ${workerCommand}`);
    } else if (now - this.#aloneSince > patienceMs) {
      const { shown } = parseRedisAddress(redis, true);
      throw new FedLoraError("worker-missing", `no worker for "${name}" at ${shown} in ${seconds} s`, {
        details: { command: workerCommand },
      });
    }
  }
}

/**
 * What can be known before data and model are read, which may take a while.
 *
 * @throws FedLoraError `config-invalid`, `insecure-refused`, `queue-unavailable`
 */
export async function assertReachable({ redis, listen, insecure, patienceMs }: QueueOptions): Promise<void> {
  const address = parseRedisAddress(redis, insecure);
  if (listen !== undefined) parseListenAddress(listen, insecure);
  const link = await RedisLink.open({ address, patienceMs, say: () => undefined, onLost: () => undefined });
  link.close();
}

async function openStore(options: QueueSessionOptions, { redis }: RedisLink): Promise<ContentStore> {
  const { insecure, onResult } = options;
  // The way to Redis is a way to the workers, who take the same one.
  const facing = (redis as unknown as { stream?: { localAddress?: string } }).stream?.localAddress ?? "127.0.0.1";
  const local = facing.replace(/^::ffff:/, "");
  const { host, port } =
    options.listen === undefined ? { host: local, port: 0 } : parseListenAddress(options.listen, insecure);
  assertMayListen(host, insecure);
  const isAny = host === "0.0.0.0" || host === "::";
  return ContentStore.listen({ host, port, publicHost: isAny ? local : host, onResult });
}

const missing = (from: readonly WorkerIdentity[], among: readonly WorkerIdentity[]): readonly WorkerIdentity[] =>
  from.filter(({ id }) => !among.some((other) => other.id === id));

/** A worker's reason is `code: message`. */
function failureOf(reason: string): FedLoraError {
  if (reason.startsWith(stalledReason)) return new FedLoraError("worker-missing", stalledMessage);
  const [code = "", ...message] = reason.split(": ");
  if (!isErrorCode(code)) return new FedLoraError("worker-missing", `a worker cannot do its work: ${reason}`);
  return new FedLoraError(code, `a worker cannot do its work: ${message.join(": ")}`);
}
