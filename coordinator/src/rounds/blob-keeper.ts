import { blobIdOf } from "@fedlora/core";
import type { BlobId } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";

import type { BlobStore } from "../storage/storage.js";
import type { BlobRef } from "./run-events.js";
import { hashFile, storeFile } from "./store-file.js";

/**
 * Decides when a blob goes. Blobs are shared by content (two runs with one spec share their instructions, a client may upload the
 * global adapter's very bytes), so none is deleted while any state names it or somebody is about to.
 */
export class BlobKeeper {
  readonly #blobs: BlobStore;
  readonly #referenced: () => ReadonlySet<BlobId>;
  readonly #pins = new Map<BlobId, number>();
  readonly #deleting = new Map<BlobId, Promise<void>>();
  #deletions = 0;

  /** `referenced` gives every blob that a state names, decided or durable. */
  constructor(blobs: BlobStore, referenced: () => ReadonlySet<BlobId>) {
    this.#blobs = blobs;
    this.#referenced = referenced;
  }

  /** Stores bytes and keeps them until `unpin`, by when a state names them or nobody needs them. */
  async put(bytes: Uint8Array): Promise<BlobRef> {
    const id = blobIdOf(bytes, nodeSha256);
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
    await this.#deleting.get(id);
    try {
      await this.#blobs.put(bytes);
    } catch (thrown) {
      this.unpin([id]);
      throw thrown;
    }
    return { id, size: bytes.byteLength };
  }

  /** As `put`, for a file that need not fit into memory. */
  async putFile(path: string): Promise<BlobRef> {
    const { id, size } = await hashFile(path);
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
    await this.#deleting.get(id);
    try {
      if (!(await this.#blobs.has(id))) await storeFile(this.#blobs, path, { id, size });
    } catch (thrown) {
      this.unpin([id]);
      throw thrown;
    }
    return { id, size };
  }

  unpin(ids: readonly BlobId[]): void {
    for (const id of ids) {
      const count = (this.#pins.get(id) ?? 0) - 1;
      if (count > 0) this.#pins.set(id, count);
      else this.#pins.delete(id);
    }
  }

  /**
   * Calls `body` in the very turn in which the blob is known to be there and no deletion of it is on its way, so that a state may
   * name it; undefined when it is not there.
   */
  async whilePresent<T>(id: BlobId, body: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      await this.#deleting.get(id);
      const version = this.#deletions;
      const isPresent = await this.#blobs.has(id);
      if (version !== this.#deletions) continue;
      return isPresent ? body() : undefined;
    }
  }

  /** Deletes those of the blobs that nobody names any more. */
  async release(ids: Iterable<BlobId>): Promise<number> {
    const referenced = this.#referenced();
    const deletions: Promise<void>[] = [];
    for (const id of new Set(ids)) {
      if (referenced.has(id) || this.#pins.has(id)) continue;
      this.#deletions += 1;
      const deletion = this.#blobs.delete(id).finally(() => this.#deleting.delete(id));
      this.#deleting.set(id, deletion);
      deletions.push(deletion);
    }
    await Promise.all(deletions);
    return deletions.length;
  }
}
