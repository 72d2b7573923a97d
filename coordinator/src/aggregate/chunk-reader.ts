import { closeSync, openSync, readSync } from "node:fs";
import { chunkBytes, FedLoraError } from "@fedlora/core";
import type { BlobFile, UpdateFile } from "./aggregation.js";
import { FileChunks, sharedChunks } from "./file-chunks.js";

interface OpenFile {
  /** Undefined where the blob's bytes are in memory. */
  readonly fd: number | undefined;
  readonly blob: BlobFile;
  readonly chunks: FileChunks;
}

/**
 * Reads ranges of stored files, one file at a time, and hashes on the way what nobody has hashed: a chunk that begins in a
 * range is read to its end, and what was read beyond the range serves the next one. Threads that read neighbouring
 * ranges thus hash each chunk once. All ranges go through the same two buffers.
 */
export class ChunkReader {
  /** Bytes of whole ranges that were hashed as they were read. */
  #window = new Uint8Array(0);
  /** Place in the file of the window's first byte: where a chunk begins. */
  #base = 0;
  /** What the window holds of the file. */
  #start = 0;
  #end = 0;
  /** Ranges of which nothing is to be hashed. */
  #buffer = new Uint8Array(0);
  #file: OpenFile | undefined;

  /** @throws FedLoraError `blob-not-found` */
  open(blob: BlobFile, chunks: FileChunks): void {
    this.#file = { fd: blob.bytes === undefined ? openBlob(blob) : undefined, blob, chunks };
    this.#start = this.#end = 0;
  }

  close(): void {
    if (this.#file?.fd !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  /**
   * Bytes [start, end) of the open file, in memory that is valid until the next call; aligned there as in the file.
   *
   * @throws FedLoraError `blob-hash-mismatch` where the file ends before
   */
  read(start: number, end: number): Uint8Array {
    if (this.#file === undefined) throw new FedLoraError("internal", "no file is open to be read");
    if (start < this.#start || end > this.#end) {
      if (!this.#isNew(start, end)) return this.#direct(start, end);
      this.#load(start, end);
    }
    return this.#window.subarray(start - this.#base, end - this.#base);
  }

  /**
   * Reads what nobody has hashed of a file, and compares all of it with its id. No file may be open.
   *
   * @throws FedLoraError `blob-not-found`, `blob-hash-mismatch`
   */
  verify(blob: BlobFile & Partial<Pick<UpdateFile, "id">>, chunks: FileChunks): void {
    const missing = chunks.missing();
    if (chunks.size === undefined || missing.length > 0) {
      this.open(blob, chunks);
      try {
        for (const chunk of missing) this.read(...chunks.bounds(chunk));
      } finally {
        this.close();
      }
    }
    chunks.assertBlob(blob);
  }

  /** Whether a chunk that nobody has hashed begins in the range. */
  #isNew(start: number, end: number): boolean {
    const chunks = this.#file?.chunks;
    for (let chunk = Math.ceil(start / chunkBytes); chunk * chunkBytes < end; chunk++) {
      if (chunks !== undefined && chunk < chunks.count && !chunks.has(chunk)) return true;
    }
    return false;
  }

  #direct(start: number, end: number): Uint8Array {
    const offset = start % 8;
    const length = offset + end - start;
    if (this.#buffer.byteLength < length) this.#buffer = new Uint8Array(length);
    const bytes = this.#buffer.subarray(offset, length);
    this.#readExactly(bytes, start);
    return bytes;
  }

  /** Fills the window with a range, and the rest of its last chunk. */
  #load(start: number, end: number): void {
    const { chunks } = this.#file ?? {};
    if (chunks === undefined) return;
    const base = start - (start % chunkBytes);
    const last = Math.min(Math.ceil(end / chunkBytes), chunks.count) - 1;
    const to = Math.max(end, chunks.bounds(last)[1]);
    this.#move(base, start, to - base);
    this.#readExactly(this.#window.subarray(this.#end - base, to - base), this.#end);
    this.#end = to;
    for (let chunk = Math.ceil(start / chunkBytes); chunk <= last; chunk++) {
      if (chunks.has(chunk)) continue;
      const [from, until] = chunks.bounds(chunk);
      chunks.add(chunk, this.#window.subarray(from - base, until - base));
    }
  }

  /** Makes the window begin at `base` with room for so many bytes; it keeps what it holds from `start` on. */
  #move(base: number, start: number, length: number): void {
    const keeps = start >= this.#start && start < this.#end;
    const held = keeps ? this.#window.subarray(start - this.#base, this.#end - this.#base) : new Uint8Array(0);
    if (this.#window.byteLength < length) this.#window = new Uint8Array(length);
    this.#window.set(held, start - base);
    this.#base = base;
    this.#start = start;
    this.#end = start + held.byteLength;
  }

  #readExactly(bytes: Uint8Array, offset: number): void {
    if (this.#file === undefined) return;
    const { fd, blob } = this.#file;
    for (let at = 0; at < bytes.byteLength;) {
      const rest = bytes.subarray(at);
      const count =
        fd === undefined ? copyOf(blob, rest, offset + at) : readSync(fd, rest, 0, rest.length, offset + at);
      if (count === 0) {
        throw new FedLoraError("blob-hash-mismatch", `stored blob "${blob.path}" ends at byte ${offset + at}`, {
          details: { blobId: blob.blobId },
        });
      }
      at += count;
    }
  }
}

/** Reads a stored blob and compares it with its id; throws as `ChunkReader.verify`. */
export function verifyBlob(blob: BlobFile): void {
  for (const chunks of FileChunks.all(sharedChunks([blob]))) new ChunkReader().verify(blob, chunks);
}

/** As `readSync`, from memory. */
function copyOf({ bytes }: BlobFile, to: Uint8Array, offset: number): number {
  const part = bytes?.subarray(offset, offset + to.byteLength) ?? new Uint8Array(0);
  to.set(part);
  return part.byteLength;
}

function openBlob({ path, blobId }: BlobFile): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new FedLoraError("blob-not-found", `stored blob "${path}" cannot be opened`, { details: { blobId }, cause });
  }
}
