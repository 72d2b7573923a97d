import { FedLoraError } from "@fedlora/core";
import { blobChunkToWire, limits, type BlobRange } from "@fedlora/proto";
import { hash } from "node:crypto";
import type { BlobStore } from "../storage/storage.js";

/** A chunk as the wire carries it. */
export type SentChunk = ReturnType<typeof blobChunkToWire> & { readonly data: Buffer };

/** Chunk buffers that one download takes turns with. */
const ringChunks = 8;

/**
 * Sends a range of a blob in hashed chunks, in order. Reads one chunk ahead of what `write` has taken, so that the disk and
 * the network work at the same time. The buffers are used again, since fresh ones cost more than reading does: `write` may
 * hold on to a chunk until it has taken six later ones. Throws `blob-range-invalid`, and what `write` throws.
 */
export async function sendBlob(
  blobs: BlobStore,
  range: BlobRange,
  size: number,
  signal: AbortSignal,
  write: (chunk: SentChunk) => Promise<void>,
): Promise<void> {
  const end = range.length === undefined ? size : range.offset + range.length;
  if (range.offset > size || end > size) {
    const message = `blob ${range.id} of ${size} bytes has no bytes [${range.offset}, ${end})`;
    throw new FedLoraError("blob-range-invalid", message, { details: { size: String(size) } });
  }
  const ring: Buffer[] = [];
  const read = (offset: number): Promise<Uint8Array> => {
    const buffer = (ring[(offset / limits.chunkBytes) % ringChunks] ??= Buffer.allocUnsafeSlow(limits.chunkBytes));
    return blobs.read(range.id, offset, Math.min(limits.chunkBytes, end - offset), buffer);
  };
  let next = range.offset < end ? read(range.offset) : undefined;
  for (let offset = range.offset; next !== undefined;) {
    signal.throwIfAborted();
    const data = await next;
    const following = offset + data.byteLength;
    next = following < end ? read(following) : undefined;
    // An error of the read ahead is thrown when its turn comes, not as an unhandled rejection before.
    next?.catch(() => undefined);
    const sha256 = hash("sha256", data, "buffer");
    await write(blobChunkToWire({ offset, data, sha256, total: size }) as SentChunk);
    offset = following;
  }
}
