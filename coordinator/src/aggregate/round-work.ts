import { readFileSync } from "node:fs";
import { compileMethod } from "@fedlora/aggregators";
import type { Aggregation, Method, UpdateView } from "@fedlora/aggregators";
import { FedLoraError, readSafetensors } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import type { AggregationJob } from "./aggregation.js";
import type { FileSink } from "./file-sink.js";
import { UpdateReader, verifyBlob } from "./update-reader.js";

/** What a thread needs of a round to do its share, or all, of it. Errors are those of `AggregationRunner.run`. */
export class RoundWork {
  readonly #job: AggregationJob;
  readonly #sink: FileSink;
  readonly #method: Method;
  readonly #reader = new UpdateReader();

  /** Throws what is wrong with the job itself; reads nothing yet. */
  constructor(job: AggregationJob, sink: FileSink) {
    this.#job = job;
    this.#sink = sink;
    this.#method = compileMethod(job);
    assertUpdates(job);
  }

  /** Verifies the updates' files by the numbers that `next` hands out, until there are no more. */
  verify(next: () => number): void {
    const { updates } = this.#job;
    for (let update = updates[next()]; update !== undefined; update = updates[next()]) verifyBlob(update);
  }

  verifyGlobal(): void {
    verifyBlob(this.#job.global);
  }

  /** Reads the global adapter, which one thread has verified. */
  open(): Aggregation {
    const { round, phase, state, baseVersion } = this.#job;
    const global: StateDict = readSafetensors(readFileSync(this.#job.global.path)).tensors;
    const freshness = freshnessOf(this.#job);
    return this.#method.aggregate({ round, phase, state, global, baseVersion, sink: this.#sink, freshness });
  }

  readonly sweep = (visit: (update: UpdateView) => void): void => {
    for (const update of this.#job.updates) this.#reader.visit(update, visit);
  };
}

/** 1 where no update is stale; undefined where none weighs anything. */
function freshnessOf({ updates }: AggregationJob): number | undefined {
  const full = updates.reduce((sum, { fullWeight }) => sum + fullWeight, 0);
  const weight = updates.reduce((sum, update) => sum + update.weight, 0);
  return full > 0 ? weight / full : undefined;
}

function assertUpdates({ updates }: AggregationJob): void {
  const seen = new Set<string>();
  for (const { id, weight } of updates) {
    if (!(weight >= 0 && weight < Infinity)) {
      throw new FedLoraError("update-weight", `weight ${weight} of update "${id}" must be a finite number from 0 on`, {
        details: { updateId: id },
      });
    }
    if (seen.has(id)) throw new FedLoraError("update-conflict", `update "${id}" is named twice in one round`);
    seen.add(id);
  }
}
