import type { LocalTrainer, TrainRequest, TrainResult } from "@fedlora/client-sdk";
import { systemSecrets } from "@fedlora/client-sdk/parts";
import {
  FedLoraError,
  isErrorCode,
  type EvaluationCounts,
  type ModelManifest,
  type PlanInstructions,
} from "@fedlora/core";
import { startThread } from "@fedlora/core/node";
import type { Worker } from "node:worker_threads";
import type { FeatureTable } from "../data/simulation-data.js";
import type { RoomWorker } from "../runtime/trainer-room.js";
import { ClientData } from "../runtime/client-data.js";
import type { SentRows, ThreadAnswer, ThreadQuestion, ThreadRequest, ThreadWork } from "./linear-messages.js";

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: FedLoraError) => void;
}

/** Starts a thread with a linear trainer; the table's memory is shared with it. Throws `internal` when it does not start. */
export async function startLinearThread(table: FeatureTable, manifest: ModelManifest): Promise<RoomWorker> {
  const worker = startThread(new URL("./linear-worker", import.meta.url));
  worker.unref();
  const trainer = new ThreadTrainer(worker, table.labels);
  const engine = new Promise<RoomWorker["engine"]>((resolve, reject) => {
    trainer.onReady = resolve;
    trainer.onFailure = reject;
  });
  worker.postMessage({ kind: "start", table, manifest } satisfies ThreadRequest);
  return { trainer, engine: await engine, depth: 2 };
}

/** A trainer in another thread. */
class ThreadTrainer implements LocalTrainer {
  readonly #worker: Worker;
  readonly #numLabels: number;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #lastInstructions: PlanInstructions | undefined;
  /** Why the thread is gone. */
  #failure: FedLoraError | undefined;
  onReady: (engine: RoomWorker["engine"]) => void = () => undefined;
  onFailure: (error: FedLoraError) => void = () => undefined;

  constructor(worker: Worker, labels: Int32Array) {
    this.#worker = worker;
    this.#numLabels = labels.reduce((most, label) => Math.max(most, label), 0) + 1;
    worker.on("message", (answer: ThreadAnswer) => this.#onAnswer(answer));
    worker.on("error", (cause) => this.#fail(`a simulation's thread failed: ${cause.message}`, cause));
    worker.on("exit", (code) => this.#fail(`a simulation's thread ended with code ${code}`));
  }

  train(request: TrainRequest): Promise<TrainResult> {
    const { round, streamKey, optimizerState, isNewcomer } = request;
    return this.#ask({
      ...this.#shared("train", request),
      rest: { round, streamKey, optimizerState, ...(isNewcomer === undefined ? {} : { isNewcomer }) },
    });
  }

  evaluate(request: Parameters<LocalTrainer["evaluate"]>[0]): Promise<EvaluationCounts> {
    return this.#ask({ ...this.#shared("evaluate", request), rest: undefined });
  }

  heldBaseDeltas(ids: readonly string[]): Promise<number> {
    return this.#ask({ kind: "held", ids });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #shared(
    kind: ThreadWork["kind"],
    { instructions, start, data, baseDeltas, secrets }: Parameters<LocalTrainer["evaluate"]>[0],
  ): Omit<ThreadWork, "id" | "rest"> {
    if (!(data instanceof ClientData)) throw new FedLoraError("data-invalid", `data set "${data.name}" has no numbers`);
    const isKnown = instructions === this.#lastInstructions;
    this.#lastInstructions = instructions;
    // The source cannot cross a thread; the trainer asks it for one key, wherever it runs.
    const secret = instructions.privacy === undefined ? undefined : (secrets ?? systemSecrets).next();
    const sent = isKnown ? undefined : instructions;
    return { kind, rows: this.#rowsOf(data), instructions: sent, start, baseDeltas, secret };
  }

  #rowsOf({ name, trainRows, heldOutRows, relabel }: ClientData): SentRows {
    // Views of a shared array would take all of it along.
    const own = { name, trainRows: trainRows.slice(), heldOutRows: heldOutRows.slice() };
    const labels = Array.from({ length: this.#numLabels }, (_, label) => label);
    return { ...own, relabelled: relabel === undefined ? undefined : labels.map(relabel) };
  }

  #ask<T>(request: Omit<ThreadWork, "id"> | Omit<ThreadQuestion, "id">): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#lastId += 1;
      this.#waiting.set(this.#lastId, { resolve, reject });
      // The process lives while its thread works.
      this.#worker.ref();
      this.#worker.postMessage({ ...request, id: this.#lastId });
    });
  }

  #onAnswer(answer: ThreadAnswer): void {
    if (answer.kind === "ready") {
      this.onReady(answer.engine);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (answer.kind === "done") waiting?.resolve(answer.result as never);
    else waiting?.reject(new FedLoraError(isErrorCode(answer.code) ? answer.code : "internal", answer.message));
  }

  #fail(message: string, cause?: Error): void {
    const error = new FedLoraError("internal", message, cause === undefined ? {} : { cause });
    this.#failure ??= error;
    this.onFailure(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
