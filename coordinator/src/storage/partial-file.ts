import { blobIdOfChunks, chunkBytes, FedLoraError } from "@fedlora/core";
import type { BlobId } from "@fedlora/core";
import { createHash, hash } from "node:crypto";

import type { FileSystem, OpenFile } from "./file-system.js";
import type { PartialBlob } from "./storage.js";

/** Chunks that may wait in memory for the write in flight. */
const maxBufferedBytes = 4 * chunkBytes;
/** A background sync starts whenever so many bytes were written since the last, so that the one at commit has little to do. */
const backgroundSyncBytes = 8 * 1024 * 1024;
/** The digests are written down whenever so many chunks are on the disk: what a crash costs is at most this much to send again. */
const digestBatch = 16;
const digestBytes = 32;

export interface PartialPaths {
  /** The bytes so far. */
  readonly data: string;
  /** The digests of the chunks that are in `data`, 32 bytes each. */
  readonly digests: string;
}

/** A blob on its way in. Chunks are written behind the caller's back, several at a time, and synced in the background. */
export class PartialFile implements PartialBlob {
  readonly #id: BlobId;
  readonly #size: number;
  readonly #data: OpenFile;
  readonly #digestFile: OpenFile;
  readonly #digests: Uint8Array[];
  readonly #publish: () => Promise<void>;
  readonly #close: (keep: boolean) => Promise<void>;
  #nextOffset: number;
  #written: number;
  #savedDigests: number;
  #unsynced = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #failure: FedLoraError | undefined;
  #syncFailed = false;
  #done = false;

  constructor(options: {
    id: BlobId;
    size: number;
    data: OpenFile;
    digestFile: OpenFile;
    /** Digests of the chunks that are on the disk and were verified again. */
    digests: Uint8Array[];
    /** Gives the synced file its final name, durably. */
    publish: () => Promise<void>;
    /** Called once the handles are closed. */
    close: (keep: boolean) => Promise<void>;
  }) {
    this.#id = options.id;
    this.#size = options.size;
    this.#data = options.data;
    this.#digestFile = options.digestFile;
    this.#digests = options.digests;
    this.#publish = options.publish;
    this.#close = options.close;
    this.#nextOffset = Math.min(options.size, options.digests.length * chunkBytes);
    this.#written = this.#nextOffset;
    this.#savedDigests = options.digests.length;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  async append(offset: number, chunk: Uint8Array, sha256: Uint8Array): Promise<number> {
    this.#assertUsable();
    const expected = Math.min(chunkBytes, this.#size - this.#nextOffset);
    if (offset !== this.#nextOffset || chunk.byteLength !== expected || expected === 0) {
      const message =
        `chunk of ${chunk.byteLength} bytes at offset ${offset} of a blob of ${this.#size} bytes: ` +
        `${expected} bytes at offset ${this.#nextOffset} come next`;
      throw new FedLoraError("chunk-offset-invalid", message, { details: { nextOffset: String(this.#nextOffset) } });
    }
    this.#digests.push(Uint8Array.from(sha256));
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.byteLength;
    this.#nextOffset += chunk.byteLength;
    this.#writing ??= this.#drain();
    if (this.#waitingBytes >= maxBufferedBytes) await this.#writing;
    return this.#nextOffset;
  }

  async commit(): Promise<BlobId> {
    this.#assertUsable();
    if (this.#nextOffset !== this.#size) {
      throw new FedLoraError("chunk-offset-invalid", `${this.#nextOffset} of ${this.#size} bytes have arrived`, {
        details: { nextOffset: String(this.#nextOffset) },
      });
    }
    const id = blobIdOfChunks(this.#digests, () => createHash("sha256"));
    if (id !== this.#id) {
      await this.discard();
      throw new FedLoraError("blob-hash-mismatch", `the chunks make blob ${id}, ${this.#id} was announced`);
    }
    await this.#settle();
    try {
      await this.#data.datasync();
    } catch (thrown) {
      this.#syncFailed = true;
      throw this.#fail(thrown);
    }
    this.#done = true;
    await this.#closeHandles();
    try {
      await this.#publish();
    } finally {
      await this.#close(true);
    }
    return id;
  }

  async release(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    // A failed write costs only what was not written; the next opening checks what is there.
    await this.#settle()
      .then(() => this.#saveDigests())
      .catch(() => undefined);
    await this.#closeHandles();
    // After a failed sync the page cache may hold what the disk does not, and a later sync would not tell.
    await this.#close(!this.#syncFailed);
  }

  async discard(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    await this.#settle().catch(() => undefined);
    await this.#closeHandles();
    await this.#close(false);
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#done) throw new FedLoraError("upload-not-found", `the upload of blob ${this.#id} was closed`);
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && this.#failure === undefined) {
        const chunks = this.#waiting;
        const bytes = this.#waitingBytes;
        this.#waiting = [];
        this.#waitingBytes = 0;
        await this.#data.write(chunks, this.#written);
        this.#written += bytes;
        this.#unsynced += bytes;
        if (this.#unsynced >= backgroundSyncBytes && this.#syncing === undefined) this.#startSync();
        if (Math.floor(this.#written / chunkBytes) - this.#savedDigests >= digestBatch) await this.#saveDigests();
      }
    } catch (thrown) {
      this.#fail(thrown);
    } finally {
      this.#writing = undefined;
    }
  }

  #startSync(): void {
    this.#unsynced = 0;
    this.#syncing = this.#data
      .datasync()
      .catch((thrown: unknown) => {
        this.#syncFailed = true;
        this.#fail(thrown);
      })
      .finally(() => (this.#syncing = undefined));
  }

  async #saveDigests(): Promise<void> {
    const inFile = this.#written === this.#size ? this.#digests.length : Math.floor(this.#written / chunkBytes);
    const fresh = this.#digests.slice(this.#savedDigests, inFile);
    if (fresh.length === 0) return;
    await this.#digestFile.write([Buffer.concat(fresh)], this.#savedDigests * digestBytes);
    this.#savedDigests = inFile;
  }

  /** Waits for what is in flight; throws what failed. */
  async #settle(): Promise<void> {
    while (this.#writing !== undefined || this.#syncing !== undefined) {
      await this.#writing;
      await this.#syncing;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(thrown: unknown): FedLoraError {
    this.#failure ??= FedLoraError.from(thrown);
    return this.#failure;
  }

  async #closeHandles(): Promise<void> {
    await Promise.allSettled([this.#data.close(), this.#digestFile.close()]);
  }
}

/** The digests of the longest row of leading chunks that still match what was written down for them. */
export async function verifyPartial(fileSystem: FileSystem, paths: PartialPaths, size: number): Promise<Uint8Array[]> {
  const digestFile = await fileSystem.open(paths.digests, "write");
  const data = await fileSystem.open(paths.data, "write");
  try {
    const expected = new Uint8Array(await digestFile.size());
    await digestFile.read(expected, 0);
    const verified: Uint8Array[] = [];
    const chunk = new Uint8Array(chunkBytes);
    for (let offset = 0; offset < size; offset += chunkBytes) {
      const digest = expected.slice(verified.length * digestBytes, (verified.length + 1) * digestBytes);
      const view = chunk.subarray(0, Math.min(chunkBytes, size - offset));
      if (digest.byteLength < digestBytes || (await data.read(view, offset)) < view.byteLength) break;
      if (!hash("sha256", view, "buffer").equals(digest)) break;
      verified.push(digest);
    }
    return verified;
  } finally {
    await data.close();
    await digestFile.close();
  }
}
