import type { ResourceLimits, Worker } from "node:worker_threads";
import type { SealedPasses } from "@fedlora/aggregators";
import { FedLoraError } from "@fedlora/core";
import { startThread } from "@fedlora/core/node";
import type { AggregationJob } from "./aggregation.js";
import type { SharedChunks } from "./file-chunks.js";
import { inTurn } from "./tickets.js";
import type { Turn } from "./tickets.js";
import { fromErrorValue } from "./worker-messages.js";
import type { ErrorValue } from "./worker-messages.js";

/** What all threads of an aggregation do next. */
export type Task =
  /**
   * @param start of the first passes: the round
   * @param before of further ones: what the passes before sealed
   */
  | {
      readonly kind: "seal";
      readonly start: { readonly job: AggregationJob; readonly chunks: SharedChunks } | undefined;
      readonly before: SealedPasses | undefined;
    }
  | { readonly kind: "verify" };

/** To a helper: a task and the numbers that it shares with the others, or the end of the round. */
export type HelperRequest = { readonly task: Task; readonly tickets: Int32Array } | "release";

/** From a helper: what it sealed, or the ticket at which it failed. */
export type HelperAnswer =
  | { readonly kind: "done"; readonly value: SealedPasses }
  | { readonly kind: "failed"; readonly ticket: number; readonly error: ErrorValue };

/** The threads that help this one. They are started when first needed and end with it. */
export class Team {
  readonly #helpers: readonly Helper[];

  constructor(helpers: number, resourceLimits: ResourceLimits) {
    this.#helpers = Array.from({ length: helpers }, () => new Helper(resourceLimits));
  }

  /**
   * Shares one task: `own` runs here, the helpers do theirs at the same time, all take numbers from one source. Throws
   * what the lowest number failed with, when all have stopped, as one thread alone would have.
   */
  async share<Result>(task: Task, own: (next: () => number) => Result): Promise<(Result | SealedPasses)[]> {
    const tickets = new Int32Array(new SharedArrayBuffer(4));
    const answers = Promise.all(this.#helpers.map((helper) => helper.ask({ task, tickets })));
    // A helper may end while this thread works; that is an error below and not an unhandled one.
    answers.catch(() => undefined);
    const mine = inTurn(tickets, own);
    const theirs = (await answers).map((answer): Turn<SealedPasses> =>
      answer.kind === "done" ? answer : { ...answer, error: fromErrorValue(answer.error) },
    );
    const failures = [mine, ...theirs].filter((turn) => turn.kind === "failed").sort((x, y) => x.ticket - y.ticket);
    if (failures[0] !== undefined) throw FedLoraError.from(failures[0].error);
    return [mine, ...theirs].flatMap((turn) => (turn.kind === "done" ? [turn.value] : []));
  }

  /** Lets the helpers forget the round. */
  release(): void {
    for (const helper of this.#helpers) helper.release();
  }

  /** Ends the helpers; the team can do no more. */
  async end(): Promise<void> {
    await Promise.all(this.#helpers.map((helper) => helper.end()));
  }
}

class Helper {
  readonly #worker: Worker;
  #waiting:
    { readonly resolve: (answer: HelperAnswer) => void; readonly reject: (error: FedLoraError) => void } | undefined;

  #failure: FedLoraError | undefined;

  constructor(resourceLimits: ResourceLimits) {
    this.#worker = startThread(new URL("./helper", import.meta.url), resourceLimits);
    this.#worker.on("message", (answer: HelperAnswer) => this.#waiting?.resolve(answer));
    this.#worker.on("error", (error) => this.#fail(`failed: ${error.message}`, error));
    this.#worker.on("exit", (code) => this.#fail(`ended with code ${code}`));
  }

  ask(request: HelperRequest): Promise<HelperAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(request);
    });
  }

  release(): void {
    this.#worker.postMessage("release" satisfies HelperRequest);
  }

  end(): Promise<number> {
    return this.#worker.terminate();
  }

  #fail(how: string, cause?: unknown): void {
    this.#failure ??= new FedLoraError("internal", `a helping aggregation thread ${how}`, { cause });
    this.#waiting?.reject(this.#failure);
  }
}
