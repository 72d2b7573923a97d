import { joinSealed, runPasses, sealSpans } from "@fedlora/aggregators";
import type { Aggregation, AggregationResult, Release, SealedPasses } from "@fedlora/aggregators";
import { writeSafetensors } from "@fedlora/core";
import type { AggregationJob, AggregationOutcome } from "./aggregation.js";
import { FileSink } from "./file-sink.js";
import { joinBase } from "./join-base.js";
import { RoundWork } from "./round-work.js";
import type { Team } from "./team.js";

/**
 * Aggregates one round from its stored updates: runs the method's passes module by module and writes the new global
 * adapter. Every file is verified by the reading that folds it, and nothing comes of a round before all of them are.
 * Synchronous, for a worker thread; memory is the adapter's and does not grow with the number of updates. Errors are those
 * of `AggregationRunner.run`; a damaged file is told before anything that it may have led to.
 */
export function aggregateRound(job: AggregationJob): AggregationOutcome {
  const sink = new FileSink(job.deltaPath);
  const work = new RoundWork(job, sink);
  try {
    const release = orDamage(work, () => work.release());
    if (release !== undefined) {
      const result = runPasses(work.open(), (visit) => visit(release.update));
      return joined(job, outcomeOf(result, release));
    }
    const first = orDamage(work, () => {
      const aggregation = work.open();
      const sealed = sealSpans(aggregation, work.sweep, counter());
      work.verify(counter());
      return aggregation.finish(sealed);
    });
    return joined(job, outcomeOf(first.kind === "continue" ? runPasses(first.next, work.sweep) : first));
  } finally {
    sink.close();
  }
}

/**
 * `aggregateRound` with helpers: spans of groups, and files that no span has read to the end, are handed out one by one to
 * this thread and theirs, what they sealed is put together here, and `finish` runs here (and in the helpers where it asks
 * for more passes, which are not data). The result, and which error is thrown, are the same, bit by bit. Not for rounds with
 * a release, which one thread draws.
 */
export async function aggregateInThreads(job: AggregationJob, team: Team): Promise<AggregationOutcome> {
  const sink = new FileSink(job.deltaPath);
  const work = new RoundWork(job, sink);
  const seal = async (aggregation: Aggregation, before: SealedPasses | undefined): Promise<SealedPasses> => {
    const start = before === undefined ? { job, chunks: work.chunks } : undefined;
    const parts = await team.share({ kind: "seal", start, before }, (next) => sealSpans(aggregation, work.sweep, next));
    return joinSealed(aggregation, parts);
  };
  try {
    let aggregation = work.open();
    let sealed = await seal(aggregation, undefined);
    await team.share({ kind: "verify" }, (next) => work.verify(next));
    for (;;) {
      const result = aggregation.finish(sealed);
      if (result.kind !== "continue") return joined(job, outcomeOf(result));
      aggregation = result.next;
      sealed = await seal(aggregation, sealed);
    }
  } catch (thrown) {
    return orDamage(work, () => {
      throw thrown;
    });
  } finally {
    team.release();
    sink.close();
  }
}

/** What `run` gives; where it throws, the error of the first file that is not what it was stored as, if there is one. */
function orDamage<Result>(work: RoundWork, run: () => Result): Result {
  try {
    return run();
  } catch (thrown) {
    work.verify(counter());
    throw thrown;
  }
}

/** 0, 1, 2, ... */
function counter(): () => number {
  let next = 0;
  return () => next++;
}

/** Writes the joined base deltas too, where the job asks for them and the round succeeded. */
function joined(job: AggregationJob, outcome: AggregationOutcome): AggregationOutcome {
  if (job.join === undefined || outcome.kind === "refused" || joinBase(job, job.join)) return outcome;
  return { kind: "refused", code: "round-failed", message: "the changes of the base weights add up beyond float32" };
}

function outcomeOf(result: AggregationResult, release?: Release): AggregationOutcome {
  if (result.kind === "refused") return result;
  const { global, state, baseDelta, metrics } = result;
  const outcome = { kind: "adapter", global: writeSafetensors(global), state, baseDelta } as const;
  if (release === undefined) return { ...outcome, metrics };
  // The method counted one update, the release; how many there were is not released.
  const released = Object.fromEntries(
    Object.entries(metrics).filter(([name]) => name !== "contributors" && name !== "totalWeight"),
  );
  const { unclippedShare } = release;
  return { ...outcome, metrics: released, unclippedShare };
}
