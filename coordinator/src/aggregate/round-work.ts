import { readFileSync } from "node:fs";
import { compileMethod, privateRelease } from "@fedlora/aggregators";
import type { Aggregation, Method, Release, UpdateView } from "@fedlora/aggregators";
import { blobIdOf, FedLoraError, readSafetensors } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { AggregationJob, BlobFile } from "./aggregation.js";
import { FileChunks, sharedChunks } from "./file-chunks.js";
import type { SharedChunks } from "./file-chunks.js";
import type { FileSink } from "./file-sink.js";
import { UpdateReader } from "./update-reader.js";

/** What a thread needs of a round to do its share, or all, of it. Errors are those of `AggregationRunner.run`. */
export class RoundWork {
  /** For the threads that help. */
  readonly chunks: SharedChunks;
  readonly #job: AggregationJob;
  readonly #sink: FileSink;
  readonly #method: Method;
  readonly #reader = new UpdateReader();
  readonly #files: readonly FileChunks[];

  /**
   * Throws what is wrong with the job itself; reads nothing yet.
   *
   * @param chunks of the thread that is helped
   */
  constructor(job: AggregationJob, sink: FileSink, chunks = sharedChunks(job.updates)) {
    this.chunks = chunks;
    this.#job = job;
    this.#sink = sink;
    this.#method = compileMethod(job);
    this.#files = FileChunks.all(chunks);
    assertUpdates(job);
  }

  /**
   * Verifies the updates' files by the numbers that `next` hands out, until there are no more. What `sweep` has read is
   * not read again.
   */
  verify(next: () => number): void {
    for (let k = next(); k < this.#files.length; k = next()) {
      const [update, chunks] = [this.#job.updates[k], this.#files[k]];
      if (update !== undefined && chunks !== undefined) this.#reader.verify(update, chunks);
    }
  }

  /** What a private round releases of its verified updates; undefined in any other, whose method sees them all. */
  release(): Release | undefined {
    const terms = this.#job.release;
    if (terms === undefined) return undefined;
    const release = privateRelease(terms, this.sweep);
    let next = 0;
    this.verify(() => next++);
    return release;
  }

  /** Reads the global adapter, and verifies it. */
  open(): Aggregation {
    const { round, phase, state, baseVersion, release } = this.#job;
    const global = readSafetensors(readBlob(this.#job.global)).tensors;
    const input = { round, phase, state, global, baseVersion, sink: this.#sink };
    return this.#method.aggregate(
      release === undefined ? { ...input, freshness: freshnessOf(this.#job) } : { ...input, visible: "sum" },
    );
  }

  readonly sweep = (visit: (update: UpdateView) => void): void => {
    this.#job.updates.forEach((update, k) => {
      const chunks = this.#files[k];
      if (chunks !== undefined) this.#reader.visit(update, chunks, visit);
    });
  };
}

function readBlob({ blobId, path, bytes: held }: BlobFile): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = held ?? readFileSync(path);
  } catch (cause) {
    throw new FedLoraError("blob-not-found", `stored blob "${path}" cannot be opened`, { details: { blobId }, cause });
  }
  const id = blobIdOf(bytes, nodeSha256);
  if (id === blobId) return bytes;
  throw new FedLoraError("blob-hash-mismatch", `stored blob "${path}" hashes to ${id}, not to ${blobId}`, {
    details: { blobId },
  });
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
