import type { Worker } from "node:worker_threads";
import { elementCount, FedLoraError } from "@fedlora/core";
import { startThread } from "@fedlora/core/node";
import type { AggregationJob, AggregationOutcome, AggregationRunner } from "./aggregation.js";
import { fromErrorValue } from "./worker-messages.js";
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.js";

export interface AggregationPoolOptions {
  /** Jobs at once, each in threads of its own; 1 or more, default 1. Further jobs wait in order. */
  readonly threads?: number;
  /** Threads that share one job; 1 or more, default 1. */
  readonly threadsPerJob?: number;
  /** Values of all its updates from which on a job is shared; default 4194304, below which that costs more than it saves. */
  readonly leastShared?: number;
  /** Most JavaScript heap of one thread, in MiB; default 512. Tensors live outside it and are bounded by the adapter. */
  readonly maxHeapMb?: number;
}

interface QueuedJob {
  readonly job: AggregationJob;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcome: AggregationOutcome) => void;
  readonly reject: (error: FedLoraError) => void;
}

/**
 * Aggregates in worker threads, so that the event loop (gRPC keepalive, intake) never waits for a fold. A thread is kept
 * for the next job; one whose job was cancelled is ended, with its open file, its memory and the threads that help it.
 */
export class AggregationPool implements AggregationRunner {
  readonly #maxHeapMb: number;
  readonly #queue: QueuedJob[] = [];
  readonly #running = new Map<Worker, QueuedJob>();
  readonly #threads: number;
  readonly #threadsPerJob: number;
  readonly #leastShared: number;
  #idle: Worker[] = [];
  #isClosed = false;

  constructor({ threads = 1, threadsPerJob = 1, leastShared = 2 ** 22, maxHeapMb = 512 }: AggregationPoolOptions = {}) {
    for (const [name, count] of Object.entries({ threads, threadsPerJob })) {
      if (!Number.isSafeInteger(count) || count < 1) {
        throw new FedLoraError("config-invalid", `${name} ${count} must be an integer of at least 1`);
      }
    }
    this.#threads = threads;
    this.#threadsPerJob = threadsPerJob;
    this.#leastShared = leastShared;
    this.#maxHeapMb = maxHeapMb;
  }

  run(job: AggregationJob, signal?: AbortSignal): Promise<AggregationOutcome> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new FedLoraError("cancelled", "the aggregation pool is closed"));
        return;
      }
      if (signal?.aborted === true) {
        reject(cancelled());
        return;
      }
      const onAbort = (): void => this.#cancel(queued);
      const queued: QueuedJob = {
        job,
        signal,
        resolve: (outcome) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(outcome);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#queue.push(queued);
      this.#startNext();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const queued of this.#queue.splice(0)) queued.reject(cancelled());
    const workers = [...this.#idle, ...this.#running.keys()];
    this.#idle = [];
    for (const [worker, queued] of this.#running) this.#finish(worker, () => queued.reject(cancelled()), "end");
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #startNext(): void {
    if (this.#running.size >= this.#threads) return;
    const queued = this.#queue.shift();
    if (queued === undefined) return;
    const worker = this.#idle.pop() ?? startWorker(this.#maxHeapMb);
    worker.removeAllListeners();
    this.#running.set(worker, queued);
    worker.once("message", (answer: WorkerAnswer) => {
      if (answer.kind === "outcome") this.#finish(worker, () => queued.resolve(answer.outcome), "keep");
      else this.#finish(worker, () => queued.reject(fromErrorValue(answer.error)), "keep");
    });
    worker.once("error", (error) => {
      const message = `the aggregation thread failed: ${error.message}`;
      this.#finish(worker, () => queued.reject(new FedLoraError("internal", message, { cause: error })), "end");
    });
    worker.once("exit", (code) => {
      const message = `the aggregation thread ended with code ${code}`;
      this.#finish(worker, () => queued.reject(new FedLoraError("internal", message)), "end");
    });
    // An idle thread does not keep the process alive, a working one does.
    worker.ref();
    const threads = valuesOf(queued.job) < this.#leastShared ? 1 : this.#threadsPerJob;
    worker.postMessage({ job: queued.job, threads } satisfies WorkerRequest);
  }

  #finish(worker: Worker, settle: () => void, then: "keep" | "end"): void {
    if (!this.#running.delete(worker)) return;
    worker.removeAllListeners();
    worker.unref();
    if (then === "keep" && !this.#isClosed) this.#keep(worker);
    else void worker.terminate();
    settle();
    if (!this.#isClosed) this.#startNext();
  }

  #keep(worker: Worker): void {
    this.#idle.push(worker);
    const forget = (): void => {
      this.#idle = this.#idle.filter((other) => other !== worker);
    };
    worker.once("error", forget);
    worker.once("exit", forget);
  }

  #cancel(queued: QueuedJob): void {
    const waiting = this.#queue.indexOf(queued);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      queued.reject(cancelled());
      return;
    }
    const worker = [...this.#running].find(([, running]) => running === queued)?.[0];
    if (worker !== undefined) this.#finish(worker, () => queued.reject(cancelled()), "end");
  }
}

const cancelled = (): FedLoraError => new FedLoraError("cancelled", "the aggregation was cancelled");

function valuesOf({ updates }: AggregationJob): number {
  return updates.reduce(
    (sum, { layout }) => sum + layout.reduce((values, { shape }) => values + elementCount(shape), 0),
    0,
  );
}

function startWorker(maxHeapMb: number): Worker {
  // Views of tensors are short-lived: a larger young generation would only hold more of them before they are collected.
  const resourceLimits = { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: 6 };
  return startThread(new URL("./worker", import.meta.url), resourceLimits);
}
