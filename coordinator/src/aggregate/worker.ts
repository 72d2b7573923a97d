import { parentPort } from "node:worker_threads";
import type { AggregationJob } from "./aggregation.js";
import { aggregateRound } from "./aggregate-round.js";
import { toErrorValue } from "./worker-messages.js";
import type { WorkerAnswer } from "./worker-messages.js";

/** The worker thread's program: one job at a time, one answer each. Cancelling ends the thread. */
parentPort?.on("message", (job: AggregationJob) => {
  try {
    const outcome = aggregateRound(job);
    const transfer = outcome.kind === "adapter" ? [outcome.global.buffer as ArrayBuffer] : [];
    answer({ kind: "outcome", outcome }, transfer);
  } catch (thrown) {
    answer({ kind: "error", error: toErrorValue(thrown) }, []);
  }
});

function answer(message: WorkerAnswer, transfer: ArrayBuffer[]): void {
  parentPort?.postMessage(message, transfer);
}
