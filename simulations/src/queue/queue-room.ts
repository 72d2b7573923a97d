import type { EvaluateRequest, TrainRequest, TrainResult } from "@fedlora/client-sdk";
import { FedLoraError, type EvaluationCounts } from "@fedlora/core";
import type { EngineIdentity } from "../device/profile.js";
import type { Room } from "../runtime/room.js";
import { contentHash } from "./content-hash.js";
import type { ResultAnswer } from "./content-store.js";
import { QueueSession, type QueueSessionOptions } from "./queue-session.js";
import { publishShard, type PublishedShard, type RemoteRequest } from "./shard.js";
import { readShardResult, type Outcome } from "./shard-result.js";

/** Requests of one moment of virtual time follow each other within this many real milliseconds. */
const gatherMs = 5;
/** Who waits that long goes out with whoever is there. */
const gatherAtMostMs = 50;
/** Two shards per worker even out what one is slower at; no shard is larger, so that little is lost with a worker. */
const shardsPerWorker = 2;
const maxShardSize = 64;

interface Asked {
  readonly remote: RemoteRequest;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: FedLoraError) => void;
}

interface OpenShard {
  readonly asked: readonly Asked[];
  readonly published: PublishedShard;
  readonly begunMs: number;
}

export type QueueRoomOptions = Omit<QueueSessionOptions, "onResult" | "onLost"> & { readonly numLabels: number };

/**
 * Trainers in other processes and on other machines, behind a queue. Requests that come together go out as shards; each is
 * answered once, whoever answers and however often. Where the queue is lost, all who wait are told, and all who come.
 */
export class QueueRoom implements Room {
  readonly #numLabels: number;
  readonly #open = new Map<string, OpenShard>();
  /** Hash of the result of every answered shard. */
  readonly #answered = new Map<string, string>();
  readonly #lost = new AbortController();
  #session: QueueSession | undefined;
  #waiting: Asked[] = [];
  #timer: NodeJS.Timeout | undefined;
  #waitingSince = 0;
  #number = 0;
  #busyMs = 0;

  private constructor(numLabels: number) {
    this.#numLabels = numLabels;
  }

  /** Throws what `QueueSession.open` throws; the signal ends the session and all that waits. */
  static async open({ numLabels, ...options }: QueueRoomOptions): Promise<QueueRoom> {
    const room = new QueueRoom(numLabels);
    const { signal } = options;
    const session = await QueueSession.open({
      ...options,
      onResult: (shard, bytes, worker) => room.#onResult(shard, bytes, worker),
      onLost: (error) => room.#lose(error),
    });
    room.#session = session;
    const stop = (): void => room.#lose(FedLoraError.from(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    return room;
  }

  get engine(): EngineIdentity {
    return this.#theSession.content.engine;
  }

  get size(): number {
    return this.#theSession.numTrainers;
  }

  /** From a shard's way out to its way back. */
  get busyMs(): number {
    return this.#busyMs;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async train(request: TrainRequest, signal: AbortSignal): Promise<TrainResult> {
    const outcome = await this.#ask({ kind: "train", request }, signal);
    if (outcome.kind === "failed") throw outcome.error;
    if (outcome.kind !== "trained") throw new FedLoraError("internal", "a training was answered by an evaluation");
    return outcome.result;
  }

  async evaluate(request: EvaluateRequest, signal: AbortSignal): Promise<EvaluationCounts> {
    const outcome = await this.#ask({ kind: "evaluate", request }, signal);
    if (outcome.kind === "failed") throw outcome.error;
    if (outcome.kind !== "evaluated") throw new FedLoraError("internal", "an evaluation was answered by a training");
    return outcome.counts;
  }

  /** None: whichever worker gets the request fetches what it lacks. */
  heldBaseDeltas(): Promise<number> {
    return Promise.resolve(0);
  }

  async close(): Promise<void> {
    this.#lose(new FedLoraError("cancelled", "the simulation is over"));
    await this.#session?.close();
  }

  get #theSession(): QueueSession {
    if (this.#session === undefined) throw new FedLoraError("internal", "the queue is not open");
    return this.#session;
  }

  #ask(remote: RemoteRequest, signal: AbortSignal): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const over = [signal, this.#lost.signal].find(({ aborted }) => aborted);
      if (over !== undefined) {
        reject(FedLoraError.from(over.reason));
        return;
      }
      const asked = { remote, resolve, reject };
      // Nobody waits for an answer any more; one that is under way is dropped when it comes.
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== asked);
        reject(FedLoraError.from(signal.reason));
      };
      signal.addEventListener("abort", onAbort, { once: true });
      const now = performance.now();
      if (this.#waiting.length === 0) this.#waitingSince = now;
      this.#waiting.push(asked);
      clearTimeout(this.#timer);
      const left = this.#waitingSince + gatherAtMostMs - now;
      this.#timer = setTimeout(() => this.#flush(), Math.max(0, Math.min(gatherMs, left)));
    });
  }

  #flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    const fair = Math.ceil(all.length / (shardsPerWorker * this.#theSession.numWorkers));
    const size = Math.min(maxShardSize, Math.max(1, fair));
    for (let at = 0; at < all.length; at += size) {
      const asked = all.slice(at, at + size);
      this.#send(asked).catch((thrown: unknown) => {
        for (const { reject } of asked) reject(FedLoraError.from(thrown));
      });
    }
  }

  async #send(asked: readonly Asked[]): Promise<void> {
    const session = this.#theSession;
    this.#number += 1;
    const name = { session: session.id, number: this.#number };
    const published = await publishShard(
      session.store,
      name,
      asked.map(({ remote }) => remote),
      this.#numLabels,
    );
    this.#lost.signal.throwIfAborted();
    const shard = published.hash;
    this.#open.set(shard, { asked, published, begunMs: performance.now() });
    session.add({ session: session.id, shard, requests: asked.length });
  }

  #onResult(shard: string, bytes: Uint8Array, worker: string): ResultAnswer {
    const hash = contentHash(bytes);
    const answered = this.#answered.get(shard);
    if (answered === hash) return { status: 204, text: "" };
    if (answered !== undefined) {
      const message = `${worker} and another worker trained shard ${shard.slice(0, 12)} to different bits`;
      this.#lose(new FedLoraError("engine-mixed", message));
      return { status: 409, text: message };
    }
    const open = this.#open.get(shard);
    if (open === undefined) return { status: 409, text: "nobody waits for it" };
    try {
      const { engine, outcomes } = readShardResult(bytes, shard, open.asked.length);
      const { fingerprint } = this.engine;
      if (engine !== fingerprint) {
        const message = `${worker} has the engine "${engine}", the simulation's is "${fingerprint}"`;
        this.#lose(new FedLoraError("engine-mixed", message));
        return { status: 409, text: message };
      }
      this.#answered.set(shard, hash);
      this.#settle(shard, open);
      outcomes.forEach((outcome, index) => open.asked[index]?.resolve(outcome));
      return { status: 204, text: "" };
    } catch (thrown) {
      return { status: 400, text: FedLoraError.from(thrown).message };
    }
  }

  #settle(shard: string, { published, begunMs }: OpenShard): void {
    this.#busyMs += performance.now() - begunMs;
    this.#open.delete(shard);
    this.#theSession.settle(shard);
    for (const content of published.contents) this.#theSession.store.release(content);
  }

  #lose(error: FedLoraError): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(error);
    clearTimeout(this.#timer);
    for (const { asked } of this.#open.values()) for (const { reject } of asked) reject(error);
    for (const { reject } of this.#waiting) reject(error);
    this.#open.clear();
    this.#waiting = [];
  }
}
