import { FedLoraError, type BlobId, type ClientId, type PlanId } from "@fedlora/core";
import type { BlobReference, UploadChunk } from "@fedlora/proto";
import { createHash, hash } from "node:crypto";
import type { PartialBlob } from "../storage/storage.js";

/** The name of the one upload of a blob for a plan: the same after a restart, so that both sides find it again. */
export function uploadIdOf(planId: PlanId, blobId: BlobId): string {
  return createHash("sha256").update(`${planId}\n${blobId}`).digest("hex").slice(0, 32);
}

/** One admitted upload. Chunks are verified here, then handed to the store. */
export class Upload {
  readonly id: string;
  readonly clientId: ClientId;
  readonly planId: PlanId;
  readonly blob: BlobReference;
  readonly partial: PartialBlob;
  readonly #giveBack: () => void;
  #closed = false;
  /** Of the injected clock; when a chunk last arrived or the upload was begun again. */
  lastSeenMs: number;
  /** A commit is under way: the upload is not idle, however long that takes. */
  isCommitting = false;

  constructor(parts: {
    clientId: ClientId;
    planId: PlanId;
    blob: BlobReference;
    partial: PartialBlob;
    giveBack: () => void;
    nowMs: number;
  }) {
    this.id = uploadIdOf(parts.planId, parts.blob.id);
    this.clientId = parts.clientId;
    this.planId = parts.planId;
    this.blob = parts.blob;
    this.partial = parts.partial;
    this.#giveBack = parts.giveBack;
    this.lastSeenMs = parts.nowMs;
  }

  get isComplete(): boolean {
    return this.partial.nextOffset === this.blob.size;
  }

  /** Throws `chunk-hash-mismatch`, `chunk-offset-invalid` (details.nextOffset), `storage-full`. */
  async append(chunk: UploadChunk): Promise<number> {
    const digest = hash("sha256", chunk.data, "buffer");
    if (!digest.equals(chunk.sha256)) {
      const message = `chunk at offset ${chunk.offset} of upload ${this.id} does not have the SHA-256 it came with`;
      throw new FedLoraError("chunk-hash-mismatch", message, { details: this.#progress() });
    }
    return this.partial.append(chunk.offset, chunk.data, digest);
  }

  /** Ends the upload and gives its place back; `keep` leaves the verified bytes for a later one. */
  async close(keep: boolean): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await (keep ? this.partial.release() : this.partial.discard());
    } finally {
      this.#giveBack();
    }
  }

  #progress(): Record<string, string> {
    return { nextOffset: String(this.partial.nextOffset) };
  }
}
