import { FedLoraError } from "@fedlora/core";
import type { PrivacyBound, RunSpec } from "@fedlora/core";
import { startThread } from "@fedlora/core/node";
import type { Worker } from "node:worker_threads";

import { fromErrorValue } from "../aggregate/worker-messages.js";
import type { ErrorValue } from "../aggregate/worker-messages.js";
import type { Accounting, BoundQuestion } from "./accounting.js";
import type { RunNoise } from "./run-privacy.js";

export interface AccountingRequest {
  readonly id: number;
  readonly ask:
    { readonly kind: "bound"; readonly question: BoundQuestion } | { readonly kind: "noise"; readonly spec: RunSpec };
}

export type AccountingAnswer =
  | { readonly id: number; readonly value: PrivacyBound | RunNoise | undefined }
  | { readonly id: number; readonly error: ErrorValue };

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: FedLoraError) => void;
}

/** Accounts in a thread of its own, so that the event loop (gRPC keepalive, intake) never waits for it; started when needed. */
export class ThreadedAccounting implements Accounting {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #lastId = 0;

  bound(question: BoundQuestion): Promise<PrivacyBound> {
    return this.#ask({ kind: "bound", question });
  }

  noise(spec: RunSpec): Promise<RunNoise | undefined> {
    return this.#ask({ kind: "noise", spec });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#end(new FedLoraError("cancelled", "the coordinator is closing"));
    await worker?.terminate();
  }

  #ask(ask: AccountingRequest["ask"]): Promise<never> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      this.#worker ??= this.#start();
      // What waits for an answer keeps the process alive, the thread alone does not.
      this.#worker.ref();
      this.#worker.postMessage({ id, ask } satisfies AccountingRequest);
    });
  }

  #start(): Worker {
    const worker = startThread(new URL("./accounting-thread", import.meta.url), {});
    const ended = (how: string, cause?: unknown): void => {
      if (this.#worker !== worker) return;
      this.#end(new FedLoraError("internal", `the accounting thread ${how}`, { cause }));
    };
    worker.on("message", (answer: AccountingAnswer) => this.#settle(worker, answer));
    worker.on("error", (error) => ended(`failed: ${error.message}`, error));
    worker.on("exit", (code) => ended(`ended with code ${code}`));
    return worker;
  }

  #settle(worker: Worker, answer: AccountingAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) worker.unref();
    if ("error" in answer) waiting?.reject(fromErrorValue(answer.error));
    else waiting?.resolve(answer.value as never);
  }

  #end(error: FedLoraError): void {
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }
}
