import { FedLoraError } from "@fedlora/core";
import type { BlobPiece, BlobReference } from "@fedlora/proto";
import { createHash } from "node:crypto";
import type { BlobStore, PartialBlob } from "../storage/storage.js";

/**
 * Stores a blob that an operator sends, piece by piece: the first message names it, and the store checks that its bytes
 * are those of the name. A call that breaks leaves nothing.
 *
 * Throws `request-invalid`, `blob-hash-mismatch`, `storage-full`.
 */
export async function receiveBlob(blobs: BlobStore, pieces: AsyncIterable<BlobPiece>): Promise<BlobReference> {
  let ref: BlobReference | undefined;
  let partial: PartialBlob | undefined;
  let offset = 0;
  try {
    for await (const { blob, data } of pieces) {
      ref ??= blob;
      if (ref === undefined) break;
      partial ??= await blobs.openPartial(`operator-${ref.id}`, ref.id, ref.size);
      if (offset >= partial.nextOffset) {
        await partial.append(offset, data, createHash("sha256").update(data).digest());
      }
      offset += data.byteLength;
    }
    if (ref === undefined || partial === undefined) {
      throw new FedLoraError("request-invalid", "blob: the first message does not name it");
    }
    await partial.commit();
    partial = undefined;
    return ref;
  } finally {
    await partial?.discard();
  }
}
