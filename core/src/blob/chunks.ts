import type { BlobId } from "../ids.js";
import { portableSha256, toHex } from "../tensor/hash.js";
import type { HashFactory, IncrementalHash } from "../tensor/hash.js";

/** Bytes of every chunk of a blob but the last, which holds the rest. */
export const chunkBytes = 256 * 1024;

/** Number of chunks of a blob; an empty blob has none. */
export function chunkCount(size: number): number {
  return Math.ceil(size / chunkBytes);
}

/** A blob's id from the SHA-256 digests of its chunks, in order. */
export function blobIdOfChunks(hashes: readonly Uint8Array[], factory: HashFactory = portableSha256): BlobId {
  const hash = factory();
  for (const chunkHash of hashes) hash.update(chunkHash);
  return toHex(hash.digest()) as BlobId;
}

/** The id of bytes in memory. */
export function blobIdOf(bytes: Uint8Array, factory: HashFactory = portableSha256): BlobId {
  const hasher = new BlobHasher(factory);
  hasher.update(bytes);
  return hasher.finish().id;
}

/** Views of the chunks of bytes in memory. */
export function* chunksOf(bytes: Uint8Array): Generator<{ offset: number; bytes: Uint8Array }> {
  for (let offset = 0; offset < bytes.byteLength; offset += chunkBytes) {
    yield { offset, bytes: bytes.subarray(offset, offset + chunkBytes) };
  }
}

/** Computes a blob's id from pieces of any size, without keeping them. Use one per blob. */
export class BlobHasher {
  readonly #factory: HashFactory;
  readonly #hashes: Uint8Array[] = [];
  #current: IncrementalHash | undefined;
  #filled = 0;
  #size = 0;

  constructor(factory: HashFactory = portableSha256) {
    this.#factory = factory;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength;) {
      this.#current ??= this.#factory();
      const piece = bytes.subarray(at, at + chunkBytes - this.#filled);
      this.#current.update(piece);
      at += piece.byteLength;
      this.#filled += piece.byteLength;
      if (this.#filled === chunkBytes) this.#closeChunk();
    }
    this.#size += bytes.byteLength;
  }

  /** The id, the digests of the chunks and the size in bytes; `update` must not be called afterwards. */
  finish(): { id: BlobId; chunkHashes: readonly Uint8Array[]; size: number } {
    this.#closeChunk();
    return { id: blobIdOfChunks(this.#hashes, this.#factory), chunkHashes: this.#hashes, size: this.#size };
  }

  #closeChunk(): void {
    if (this.#current === undefined) return;
    this.#hashes.push(this.#current.digest());
    this.#current = undefined;
    this.#filled = 0;
  }
}
