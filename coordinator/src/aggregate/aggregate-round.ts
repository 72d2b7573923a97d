import { joinSealed, runPasses, sealSpans } from "@fedlora/aggregators";
import type { AggregationResult, SealedPasses } from "@fedlora/aggregators";
import { writeSafetensors } from "@fedlora/core";
import type { AggregationJob, AggregationOutcome } from "./aggregation.js";
import { FileSink } from "./file-sink.js";
import { joinBase } from "./join-base.js";
import { RoundWork } from "./round-work.js";
import type { Team } from "./team.js";

/**
 * Aggregates one round from its stored updates: verifies every file, then runs the method's passes module by module and
 * writes the new global adapter. Synchronous, for a worker thread; memory is the adapter's and does not grow with the
 * number of updates. Errors are those of `AggregationRunner.run`.
 */
export function aggregateRound(job: AggregationJob): AggregationOutcome {
  const sink = new FileSink(job.deltaPath);
  const work = new RoundWork(job, sink);
  let next = 0;
  work.verify(() => next++);
  work.verifyGlobal();
  try {
    return joined(job, outcomeOf(runPasses(work.open(), work.sweep)));
  } finally {
    sink.close();
  }
}

/**
 * `aggregateRound` with helpers: files and spans of groups are handed out one by one to this thread and theirs, what they
 * sealed is put together here, and `finish` runs here (and in the helpers where it asks for more passes, which are not
 * data). The result, and which error is thrown, are the same, bit by bit.
 */
export async function aggregateInThreads(job: AggregationJob, team: Team): Promise<AggregationOutcome> {
  const sink = new FileSink(job.deltaPath);
  const work = new RoundWork(job, sink);
  try {
    await team.share({ kind: "verify", job }, (next) => work.verify(next));
    work.verifyGlobal();
    let aggregation = work.open();
    let before: SealedPasses | undefined;
    for (;;) {
      const current = aggregation;
      const parts = await team.share({ kind: "seal", before }, (next) => sealSpans(current, work.sweep, next));
      const sealed = joinSealed(current, parts);
      const result = current.finish(sealed);
      if (result.kind !== "continue") return joined(job, outcomeOf(result));
      aggregation = result.next;
      before = sealed;
    }
  } finally {
    team.release();
    sink.close();
  }
}

/** Writes the joined base deltas too, where the job asks for them and the round succeeded. */
function joined(job: AggregationJob, outcome: AggregationOutcome): AggregationOutcome {
  if (job.join === undefined || outcome.kind === "refused" || joinBase(job, job.join)) return outcome;
  return { kind: "refused", code: "round-failed", message: "the changes of the base weights add up beyond float32" };
}

function outcomeOf(result: AggregationResult): AggregationOutcome {
  if (result.kind === "refused") return result;
  return {
    kind: "adapter",
    global: writeSafetensors(result.global),
    state: result.state,
    baseDelta: result.baseDelta,
    metrics: result.metrics,
  };
}
