import { statSync } from "node:fs";
import { blobIdOfChunks, chunkBytes, chunkCount, FedLoraError, sha256 } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { BlobFile, UpdateFile } from "./aggregation.js";

const digestBytes = 32;

/** The digests of a round's files as far as they are known, in memory that threads share. */
export interface SharedChunks {
  /** In bytes, by update; undefined where there is no file. */
  readonly sizes: readonly (number | undefined)[];
  /** A digest per chunk of every file, in order, then a byte for each that is 1 when the digest is there. */
  readonly memory: SharedArrayBuffer;
}

/** Looks how large the files are; nothing is read. */
export function sharedChunks(updates: readonly BlobFile[]): SharedChunks {
  const sizes = updates.map(({ path, bytes }) => bytes?.byteLength ?? statSync(path, { throwIfNoEntry: false })?.size);
  const count = sizes.reduce<number>((sum, size = 0) => sum + chunkCount(size), 0);
  return { sizes, memory: new SharedArrayBuffer(count * (digestBytes + 1)) };
}

/**
 * The digests of one file's chunks: who reads a chunk first adds its digest, so that a file is verified by the reading that
 * serves its values.
 */
export class FileChunks {
  readonly size: number | undefined;
  readonly count: number;
  readonly #digests: Uint8Array;
  readonly #known: Uint8Array;

  constructor(size: number | undefined, digests: Uint8Array, known: Uint8Array) {
    this.size = size;
    this.count = known.length;
    this.#digests = digests;
    this.#known = known;
  }

  /** Those of each file, in the order of `sharedChunks`. */
  static all({ sizes, memory }: SharedChunks): FileChunks[] {
    const total = memory.byteLength / (digestBytes + 1);
    let first = 0;
    return sizes.map((size) => {
      const count = chunkCount(size ?? 0);
      const digests = new Uint8Array(memory, first * digestBytes, count * digestBytes);
      const known = new Uint8Array(memory, total * digestBytes + first, count);
      first += count;
      return new FileChunks(size, digests, known);
    });
  }

  has(chunk: number): boolean {
    return Atomics.load(this.#known, chunk) === 1;
  }

  /** Adds the digest of a chunk's bytes. */
  add(chunk: number, bytes: Uint8Array): void {
    this.#digests.set(sha256(bytes, nodeSha256), chunk * digestBytes);
    Atomics.store(this.#known, chunk, 1);
  }

  /** The chunks whose digests are not there. */
  missing(): number[] {
    return [...this.#known.keys()].filter((chunk) => !this.has(chunk));
  }

  /**
   * When all digests are there, whether they are those of the blob's id.
   *
   * @throws FedLoraError `blob-hash-mismatch`
   */
  assertBlob({ blobId, path, id: updateId }: BlobFile & Partial<Pick<UpdateFile, "id">>): void {
    const digests = Array.from({ length: this.count }, (_, chunk) =>
      // A copy: not every hash takes shared memory.
      this.#digests.slice(chunk * digestBytes, (chunk + 1) * digestBytes),
    );
    const id = blobIdOfChunks(digests, nodeSha256);
    if (id === blobId) return;
    throw new FedLoraError("blob-hash-mismatch", `stored blob "${path}" hashes to ${id}, not to ${blobId}`, {
      details: { blobId, ...(updateId === undefined ? {} : { updateId }) },
    });
  }

  /** First byte of a chunk, and the byte after its last. */
  bounds(chunk: number): readonly [number, number] {
    return [chunk * chunkBytes, Math.min((chunk + 1) * chunkBytes, this.size ?? 0)];
  }
}
