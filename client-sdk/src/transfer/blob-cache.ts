import { blobIdOf, BlobHasher, chunkBytes, FedLoraError, isBlobId, type BlobId, type Clock } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { readIfPresent } from "../client/durable-file.js";
import type { BlobReference } from "../transport/transport.js";

const partialSuffix = ".part";

/**
 * Content-addressed files under one folder, least recently used ones removed beyond `maxBytes`. What is read is hashed
 * again, so a damaged file is a miss and never a wrong answer. Unfinished downloads live beside the whole blobs and
 * count as they do.
 */
export class BlobCache {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  /** File name -> bytes, least recently used first. */
  readonly #files: Map<string, number>;

  private constructor(folder: string, maxBytes: number, clock: Clock, files: Map<string, number>) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    this.#clock = clock;
    this.#files = files;
  }

  static async open(folder: string, maxBytes: number, clock: Clock): Promise<BlobCache> {
    await mkdir(folder, { recursive: true });
    const found: { name: string; size: number; usedMs: number }[] = [];
    for (const name of await readdir(folder)) {
      if (!isBlobId(name.endsWith(partialSuffix) ? name.slice(0, -partialSuffix.length) : name)) continue;
      const { size, mtimeMs } = await stat(join(folder, name));
      found.push({ name, size, usedMs: mtimeMs });
    }
    found.sort((a, b) => a.usedMs - b.usedMs);
    return new BlobCache(folder, maxBytes, clock, new Map(found.map(({ name, size }) => [name, size])));
  }

  /** Bytes on disk, unfinished downloads included. */
  get sizeBytes(): number {
    return [...this.#files.values()].reduce((sum, size) => sum + size, 0);
  }

  /** Whether the blob is here, by name and size only. */
  has(ref: BlobReference): boolean {
    return this.#files.get(ref.id) === ref.size;
  }

  /** The verified bytes, or undefined. */
  async read(ref: BlobReference): Promise<Uint8Array | undefined> {
    const path = this.#path(ref.id);
    const bytes = await readIfPresent(path);
    if (bytes === undefined) return undefined;
    if (bytes.byteLength !== ref.size || blobIdOf(bytes, nodeSha256) !== ref.id) {
      this.#files.delete(ref.id);
      await rm(path, { force: true });
      return undefined;
    }
    await this.#touch(ref, path);
    return bytes;
  }

  /** Path of the verified blob, or undefined; for what is too large to be held in memory. It may be evicted later on. */
  async file(ref: BlobReference): Promise<string | undefined> {
    const path = this.#path(ref.id);
    if (!this.has(ref)) return undefined;
    if ((await blobIdOfFile(path)) !== ref.id) {
      this.#files.delete(ref.id);
      await rm(path, { force: true });
      return undefined;
    }
    await this.#touch(ref, path);
    return path;
  }

  /** Opens the download of a blob where it stopped, in whole chunks. Close it in any case. */
  async openPartial(ref: BlobReference): Promise<PartialBlob> {
    const name = ref.id + partialSuffix;
    const path = this.#path(ref.id) + partialSuffix;
    const partial = await PartialBlob.open(path, ref, async () => {
      // Not synced: a blob that a power loss damages is found out when it is read, and fetched again.
      await rename(path, this.#path(ref.id));
      this.#files.delete(name);
      this.#use(ref.id, ref.size);
      await this.#evict(ref.id);
    });
    // The whole size is spoken for, so that what follows makes room for all of it.
    this.#use(name, ref.size);
    await this.#evict(name);
    return partial;
  }

  async #touch({ id, size }: BlobReference, path: string): Promise<void> {
    this.#use(id, size);
    const now = new Date(this.#clock.now());
    await utimes(path, now, now);
  }

  #use(name: string, size: number): void {
    this.#files.delete(name);
    this.#files.set(name, size);
  }

  async #evict(keep: string): Promise<void> {
    let total = this.sizeBytes;
    for (const [name, size] of this.#files) {
      if (total <= this.#maxBytes) return;
      if (name === keep) continue;
      this.#files.delete(name);
      await rm(join(this.#folder, name), { force: true });
      total -= size;
    }
  }

  #path(id: BlobId): string {
    // The id comes from the network and becomes a file's name.
    if (!isBlobId(id)) throw new FedLoraError("request-invalid", `blob id "${String(id)}" must be 64 hex digits`);
    return join(this.#folder, id);
  }
}

/** A blob under way: verified chunks go in, in order; `finish` checks the whole and makes it visible. */
export class PartialBlob {
  readonly #ref: BlobReference;
  readonly #handle: FileHandle;
  readonly #publish: () => Promise<void>;
  #hasher = new BlobHasher(nodeSha256);
  #offset = 0;

  private constructor(ref: BlobReference, handle: FileHandle, publish: () => Promise<void>) {
    this.#ref = ref;
    this.#handle = handle;
    this.#publish = publish;
  }

  static async open(path: string, ref: BlobReference, publish: () => Promise<void>): Promise<PartialBlob> {
    const handle = await open(path, "a+", 0o600);
    const partial = new PartialBlob(ref, handle, publish);
    try {
      const { size } = await handle.stat();
      const kept = size >= ref.size ? ref.size : size - (size % chunkBytes);
      await handle.truncate(kept);
      const buffer = Buffer.allocUnsafe(chunkBytes);
      while (partial.#offset < kept) {
        const { bytesRead } = await handle.read(buffer, 0, chunkBytes, partial.#offset);
        if (bytesRead === 0) break;
        partial.#hasher.update(buffer.subarray(0, bytesRead));
        partial.#offset += bytesRead;
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    return partial;
  }

  /** Bytes here so far: where the download goes on. */
  get offset(): number {
    return this.#offset;
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.#handle.appendFile(chunk);
    this.#hasher.update(chunk);
    this.#offset += chunk.byteLength;
  }

  /** Throws `blob-hash-mismatch`, and starts from the first byte again, when the whole is not what its id says. */
  async finish(): Promise<void> {
    if (this.#hasher.finish().id !== this.#ref.id) {
      await this.#handle.truncate(0);
      this.#hasher = new BlobHasher(nodeSha256);
      this.#offset = 0;
      throw new FedLoraError(
        "blob-hash-mismatch",
        `the bytes received for blob ${this.#ref.id} do not add up to its id`,
      );
    }
    await this.#publish();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function blobIdOfFile(path: string): Promise<BlobId | undefined> {
  const hasher = new BlobHasher(nodeSha256);
  try {
    for await (const piece of createReadStream(path, { highWaterMark: chunkBytes })) hasher.update(piece as Buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return hasher.finish().id;
}
