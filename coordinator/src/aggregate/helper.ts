import { parentPort } from "node:worker_threads";
import { sealSpans } from "@fedlora/aggregators";
import type { Aggregation, SealedPasses } from "@fedlora/aggregators";
import { FedLoraError } from "@fedlora/core";
import { FileSink } from "./file-sink.js";
import { RoundWork } from "./round-work.js";
import type { HelperAnswer, HelperRequest, Task } from "./team.js";
import { inTurn } from "./tickets.js";
import { toErrorValue } from "./worker-messages.js";

/** The program of a thread that helps another with its round: see `aggregateInThreads`. */
let round: { readonly work: RoundWork; readonly sink: FileSink; aggregation?: Aggregation } | undefined;

parentPort?.on("message", (request: HelperRequest) => {
  if (request === "release") {
    round?.sink.close();
    round = undefined;
    return;
  }
  const turn = inTurn(request.tickets, (next) => perform(request.task, next));
  const answer: HelperAnswer = turn.kind === "done" ? turn : { ...turn, error: toErrorValue(turn.error) };
  parentPort?.postMessage(answer);
});

function perform(task: Task, next: () => number): SealedPasses {
  if (task.kind === "seal" && task.start !== undefined) {
    const { job, chunks } = task.start;
    const sink = new FileSink(job.deltaPath, "join");
    round = { work: new RoundWork(job, sink, chunks), sink };
  }
  if (round === undefined)
    throw new FedLoraError("internal", "a helping thread was asked to help before it has a round");
  if (task.kind === "verify") {
    round.work.verify(next);
    return new Map();
  }
  round.aggregation = nextAggregation(round.aggregation ?? round.work.open(), task.before);
  return sealSpans(round.aggregation, round.work.sweep, next);
}

function nextAggregation(aggregation: Aggregation, before: SealedPasses | undefined): Aggregation {
  if (before === undefined) return aggregation;
  const result = aggregation.finish(before);
  if (result.kind === "continue") return result.next;
  throw new FedLoraError("internal", "a helping thread found no further passes where another did");
}
