import { parentPort, resourceLimits } from "node:worker_threads";
import type { AggregationJob, AggregationOutcome } from "./aggregation.js";
import { aggregateInThreads, aggregateRound } from "./aggregate-round.js";
import { Team } from "./team.js";
import { toErrorValue } from "./worker-messages.js";
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.js";

let team: Team | undefined;

/** The worker thread's program: one job at a time, one answer each. Cancelling ends the thread, and its helpers with it. */
parentPort?.on("message", (request: WorkerRequest) => void work(request));

async function work({ job, threads }: WorkerRequest): Promise<void> {
  try {
    const isShared = threads > 1 && job.release === undefined;
    const outcome = isShared ? await inTeam(job, threads) : aggregateRound(job);
    const transfer = outcome.kind === "adapter" ? [outcome.global.buffer as ArrayBuffer] : [];
    answer({ kind: "outcome", outcome }, transfer);
  } catch (thrown) {
    answer({ kind: "error", error: toErrorValue(thrown) }, []);
  }
}

async function inTeam(job: AggregationJob, threads: number): Promise<AggregationOutcome> {
  team ??= new Team(threads - 1, resourceLimits);
  try {
    return await aggregateInThreads(job, team);
  } catch (thrown) {
    // After an error a helper may be gone, or hold half a round.
    await team.end();
    team = undefined;
    throw thrown;
  }
}

function answer(message: WorkerAnswer, transfer: ArrayBuffer[]): void {
  parentPort?.postMessage(message, transfer);
}
