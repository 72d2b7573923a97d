import type { EvaluateRequest, LocalTrainer, TrainRequest, TrainResult } from "@fedlora/client-sdk";
import { FedLoraError, type EvaluationCounts } from "@fedlora/core";
import type { EngineIdentity } from "../device/profile.js";
import { EventHeap, type TimedEvent } from "./event-heap.js";
import type { Room } from "./room.js";

/** A trainer of one worker, and what its results depend on. */
export interface RoomWorker {
  readonly trainer: LocalTrainer;
  readonly engine: EngineIdentity;
  /** Requests at a time, default 1; a thread that has the next one at hand does not wait for this thread between two. */
  readonly depth?: number;
}

interface Place {
  readonly trainer: LocalTrainer;
  readonly depth: number;
  requests: number;
  /** When it last began to work, in milliseconds of `performance.now`. */
  sinceMs: number;
}

interface Job extends TimedEvent {
  readonly run: (trainer: LocalTrainer) => Promise<void>;
}

/**
 * The trainers of all workers as one: requests wait for a worker that is free, those that are due first before the others, so
 * that the simulation can go on with them while the rest is trained. Which worker takes which request, and when, changes
 * nothing, since all have the same engine.
 */
export class TrainerRoom implements Room {
  readonly engine: EngineIdentity;
  readonly #workers: readonly RoomWorker[];
  readonly #places: readonly Place[];
  readonly #queue = new EventHeap<Job>();
  #order = 0;
  #busyMs = 0;

  /** Throws `engine-mixed` for workers whose engines differ, `config-invalid` for none. */
  constructor(workers: readonly RoomWorker[]) {
    const [first] = workers;
    if (first === undefined) throw new FedLoraError("config-invalid", "a simulation needs a worker");
    assertOneEngine(workers.map(({ engine }) => engine));
    this.engine = first.engine;
    this.#workers = workers;
    this.#places = workers.map(({ trainer, depth = 1 }) => ({ trainer, depth, requests: 0, sinceMs: 0 }));
  }

  get busyMs(): number {
    return this.#busyMs;
  }

  get size(): number {
    return this.#workers.length;
  }

  train(request: TrainRequest, signal: AbortSignal, _onProgress?: unknown, dueMs = 0): Promise<TrainResult> {
    return this.#enqueue((trainer) => trainer.train(request, signal, () => undefined), signal, dueMs);
  }

  evaluate(request: EvaluateRequest, signal: AbortSignal, _onProgress?: unknown, dueMs = 0): Promise<EvaluationCounts> {
    return this.#enqueue((trainer) => trainer.evaluate(request, signal, () => undefined), signal, dueMs);
  }

  /** What every worker holds, whichever will get the request. */
  async heldBaseDeltas(ids: readonly string[]): Promise<number> {
    const held = this.#workers.map(({ trainer }) => trainer.heldBaseDeltas?.(ids) ?? Promise.resolve(0));
    return Math.min(...(await Promise.all(held)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(({ trainer }) => trainer.close()));
  }

  #enqueue<T>(work: (trainer: LocalTrainer) => Promise<T>, signal: AbortSignal, dueMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = async (trainer: LocalTrainer): Promise<void> => {
        try {
          signal.throwIfAborted();
          resolve(await work(trainer));
        } catch (error) {
          reject(FedLoraError.from(error));
        }
      };
      this.#order += 1;
      this.#queue.push({ atMs: dueMs, actor: 0, order: this.#order, run });
      this.#next();
    });
  }

  #next(): void {
    const place = this.#places.reduce((least, each) => (each.requests < least.requests ? each : least));
    if (place.requests >= place.depth) return;
    const job = this.#queue.pop();
    if (job === undefined) return;
    if (place.requests === 0) place.sinceMs = performance.now();
    place.requests += 1;
    void job.run(place.trainer).then(() => {
      place.requests -= 1;
      if (place.requests === 0) this.#busyMs += performance.now() - place.sinceMs;
      this.#next();
    });
  }
}

/** Throws `engine-mixed` naming the first that differs. */
export function assertOneEngine(engines: readonly EngineIdentity[]): void {
  const [first, ...others] = engines;
  const index = others.findIndex(({ fingerprint }) => fingerprint !== first?.fingerprint);
  if (index < 0) return;
  throw new FedLoraError(
    "engine-mixed",
    `worker ${index + 2} has the engine "${others[index]?.fingerprint ?? ""}", the first "${first?.fingerprint ?? ""}"`,
  );
}
