import { blobIdOfChunks, chunkBytes, FedLoraError, isBlobId } from "@fedlora/core";
import type { BlobId, Clock } from "@fedlora/core";
import { createHash, hash } from "node:crypto";

import type { FileSystem, OpenFile } from "./file-system.js";
import { HandleCache } from "./handle-cache.js";
import { PartialFile, verifyPartial } from "./partial-file.js";
import type { PartialPaths } from "./partial-file.js";
import { SharedSync } from "./shared-sync.js";
import type { BlobStore, PartialBlob } from "./storage.js";

/** A longer read is held against the file's size before memory is taken for it. */
const maxUncheckedReadBytes = 4 * chunkBytes;

/** Blobs as files named by their ids in one folder, partial ones in another of the same file system. */
export class FileBlobStore implements BlobStore {
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #partialFolder: string;
  readonly #folderSync: SharedSync;
  readonly #handles: HandleCache;
  /** Ids whose name may not be durable yet; whoever meets one waits. */
  readonly #publishing = new Map<BlobId, Promise<void>>();
  readonly #openPartials = new Map<string, PartialFile | undefined>();
  #counter = 0;

  /** The caller has synced `folders.blobs` since the last process wrote to it: names that are there are durable. */
  constructor(
    fileSystem: FileSystem,
    clock: Clock,
    folders: { readonly blobs: string; readonly partials: string },
    maxOpenFiles = 32,
  ) {
    this.#fileSystem = fileSystem;
    this.#clock = clock;
    this.#folder = folders.blobs;
    this.#partialFolder = folders.partials;
    this.#folderSync = new SharedSync(() => fileSystem.syncFolder(folders.blobs));
    this.#handles = new HandleCache((id) => fileSystem.open(this.#path(id as BlobId), "read"), maxOpenFiles);
  }

  async has(id: BlobId): Promise<boolean> {
    await this.#publishing.get(id);
    return (await this.#fileSystem.stat(this.#path(id))) !== undefined;
  }

  async size(id: BlobId): Promise<number> {
    await this.#publishing.get(id);
    const stat = await this.#fileSystem.stat(this.#path(id));
    if (stat === undefined) throw blobNotFound(id);
    return stat.size;
  }

  async read(id: BlobId, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    await this.#publishing.get(id);
    try {
      return await this.#handles.use(id, (file) => readRange(file, id, offset, length, into));
    } catch (thrown) {
      if (thrown instanceof FedLoraError && thrown.code === "file-missing") throw blobNotFound(id);
      throw thrown;
    }
  }

  path(id: BlobId): string | undefined {
    return this.#path(id);
  }

  scratchPath(): string {
    this.#counter += 1;
    return `${this.#partialFolder}/put-${this.#counter}.scratch`;
  }

  async put(bytes: Uint8Array): Promise<BlobId> {
    const digests: Uint8Array[] = [];
    for (let offset = 0; offset < bytes.byteLength; offset += chunkBytes) {
      digests.push(hash("sha256", bytes.subarray(offset, offset + chunkBytes), "buffer"));
    }
    const id = blobIdOfChunks(digests, () => createHash("sha256"));
    if (await this.has(id)) return id;
    this.#counter += 1;
    const temporary = `${this.#partialFolder}/put-${this.#counter}.data`;
    const file = await this.#fileSystem.open(temporary, "write");
    try {
      await file.truncate(0);
      await file.write([bytes], 0);
      await file.datasync();
    } catch (thrown) {
      await this.#fileSystem.remove(temporary);
      throw thrown;
    } finally {
      await file.close();
    }
    await this.#publish(temporary, id);
    return id;
  }

  async openPartial(key: string, id: BlobId, size: number): Promise<PartialBlob> {
    if (await this.has(id)) return new StoredBlob(id, size);
    const name = createHash("sha256")
      .update(JSON.stringify([key, id, size]))
      .digest("hex");
    if (this.#openPartials.has(name)) {
      throw new FedLoraError("upload-busy", `an upload of blob ${id} for "${key}" is open already`, {
        retryAfterMs: 1000,
      });
    }
    this.#openPartials.set(name, undefined);
    try {
      return await this.#open(name, id, size);
    } catch (thrown) {
      this.#openPartials.delete(name);
      throw thrown;
    }
  }

  async #open(name: string, id: BlobId, size: number): Promise<PartialBlob> {
    const paths = this.#partialPaths(name);
    const digests = await verifyPartial(this.#fileSystem, paths, size);
    const data = await this.#fileSystem.open(paths.data, "write");
    // What is beyond the verified chunks would otherwise lengthen the blob.
    await data.truncate(Math.min(size, digests.length * chunkBytes));
    const digestFile = await this.#fileSystem.open(paths.digests, "write");
    const partial = new PartialFile({
      id,
      size,
      data,
      digestFile,
      digests,
      publish: () => this.#publish(paths.data, id),
      close: async (keep) => {
        this.#openPartials.delete(name);
        if (!keep || (await this.#fileSystem.stat(paths.data)) === undefined) await this.#removePartial(paths);
      },
    });
    this.#openPartials.set(name, partial);
    return partial;
  }

  async delete(id: BlobId): Promise<void> {
    await this.#publishing.get(id);
    await this.#handles.drop(id);
    await this.#fileSystem.remove(this.#path(id));
  }

  async *list(): AsyncIterable<BlobId> {
    for (const name of await this.#fileSystem.list(this.#folder)) {
      if (isBlobId(name)) yield name;
    }
  }

  async sweepPartials(olderThanMs: number): Promise<number> {
    const limit = this.#clock.now() - olderThanMs;
    let removed = 0;
    for (const file of await this.#fileSystem.list(this.#partialFolder)) {
      const name = file.replace(/\.data$/, "");
      if (name === file || this.#openPartials.has(name)) continue;
      const paths = this.#partialPaths(name);
      const stat = await this.#fileSystem.stat(paths.data);
      if (stat === undefined || stat.modifiedMs > limit) continue;
      await this.#removePartial(paths);
      removed += 1;
    }
    return removed;
  }

  async close(): Promise<void> {
    for (const partial of [...this.#openPartials.values()]) await partial?.release();
    await Promise.allSettled(this.#publishing.values());
    await this.#handles.close();
  }

  /** Gives a synced file its name as a blob and makes the name durable; when that fails, the blob is not there. */
  async #publish(from: string, id: BlobId): Promise<void> {
    for (;;) {
      const earlier = this.#publishing.get(id);
      if (earlier === undefined) break;
      await earlier.catch(() => undefined);
    }
    const publishing = this.#giveName(from, this.#path(id));
    this.#publishing.set(id, publishing);
    try {
      await publishing;
    } finally {
      if (this.#publishing.get(id) === publishing) this.#publishing.delete(id);
    }
  }

  async #giveName(from: string, path: string): Promise<void> {
    if ((await this.#fileSystem.stat(path)) !== undefined) {
      await this.#fileSystem.remove(from);
      return;
    }
    await this.#fileSystem.rename(from, path);
    try {
      await this.#folderSync.run();
    } catch (thrown) {
      // Its name may be gone after a power loss, and a repeated sync would not tell: whoever finds the file must not count on it.
      await this.#fileSystem.remove(path);
      throw thrown;
    }
  }

  async #removePartial(paths: PartialPaths): Promise<void> {
    await this.#fileSystem.remove(paths.data);
    await this.#fileSystem.remove(paths.digests);
  }

  #partialPaths(name: string): PartialPaths {
    return { data: `${this.#partialFolder}/${name}.data`, digests: `${this.#partialFolder}/${name}.digests` };
  }

  #path(id: BlobId): string {
    // Ids come from outside; a hash pattern keeps them inside the folder.
    if (!isBlobId(id)) throw blobNotFound(id);
    return `${this.#folder}/${id}`;
  }
}

/** A partial blob of which nothing is missing: the same bytes were stored before. */
class StoredBlob implements PartialBlob {
  readonly nextOffset: number;
  readonly #id: BlobId;

  constructor(id: BlobId, size: number) {
    this.#id = id;
    this.nextOffset = size;
  }

  append(): Promise<number> {
    return Promise.reject(
      new FedLoraError("chunk-offset-invalid", `blob ${this.#id} is complete`, {
        details: { nextOffset: String(this.nextOffset) },
      }),
    );
  }

  commit(): Promise<BlobId> {
    return Promise.resolve(this.#id);
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  discard(): Promise<void> {
    return Promise.resolve();
  }
}

async function readRange(
  file: OpenFile,
  id: BlobId,
  offset: number,
  length: number,
  into: Uint8Array | undefined,
): Promise<Uint8Array> {
  const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!sane || (length > maxUncheckedReadBytes && offset + length > (await file.size()))) {
    throw rangeInvalid(id, offset, length);
  }
  // Not zeroed first: the range is checked and only what was read is returned.
  const fits = into !== undefined && into.byteLength >= length;
  const bytes = fits ? into.subarray(0, length) : Buffer.allocUnsafeSlow(length);
  const read = await file.read(bytes, offset);
  if (read < length) throw rangeInvalid(id, offset, length);
  return bytes;
}

function rangeInvalid(id: string, offset: number, length: number): FedLoraError {
  return new FedLoraError("blob-range-invalid", `blob ${id} has no ${length} bytes from ${offset} on`);
}

function blobNotFound(id: string): FedLoraError {
  return new FedLoraError("blob-not-found", `blob ${id} does not exist`, { details: { blobId: id } });
}
