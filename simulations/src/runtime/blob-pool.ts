import type { BlobId } from "@fedlora/core";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Downloads of all virtual clients, kept once: what one fetched, another may read where it has fetched it too. Bounded; the
 * oldest go first.
 */
export class BlobPool {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #blobs = new Map<BlobId, Uint8Array>();
  readonly #files = new Map<BlobId, Promise<string>>();
  #bytes = 0;

  /** @param folder for blobs that are asked for as files; it belongs to the simulation and is removed with it */
  constructor(folder: string, maxBytes = 64 * 1024 * 1024) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  get(id: BlobId): Uint8Array | undefined {
    return this.#blobs.get(id);
  }

  put(id: BlobId, bytes: Uint8Array): void {
    if (this.#blobs.has(id)) return;
    this.#blobs.set(id, bytes);
    this.#bytes += bytes.byteLength;
    for (const [oldest, { byteLength }] of this.#blobs) {
      if (this.#bytes <= this.#maxBytes || oldest === id) break;
      this.#blobs.delete(oldest);
      this.#bytes -= byteLength;
    }
  }

  /** Path of a blob, written when it is first asked for; undefined where it is not in the pool. */
  file(id: BlobId): Promise<string> | undefined {
    const known = this.#files.get(id);
    if (known !== undefined) return known;
    const bytes = this.#blobs.get(id);
    if (bytes === undefined) return undefined;
    const path = join(this.#folder, id);
    const written = writeFile(path, bytes).then(() => path);
    this.#files.set(id, written);
    return written;
  }
}
