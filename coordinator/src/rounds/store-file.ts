import { BlobHasher, chunkBytes } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

import type { BlobStore } from "../storage/storage.js";
import type { BlobRef } from "./run-events.js";

/** The id and size that a file's bytes have as a blob. */
export async function hashFile(path: string): Promise<BlobRef> {
  const hasher = new BlobHasher(nodeSha256);
  let size = 0;
  for await (const chunk of chunksOf(path)) {
    hasher.update(chunk);
    size += chunk.byteLength;
  }
  return { id: hasher.finish().id, size };
}

/** Stores a file chunk by chunk, as an upload would be; the store checks that its bytes are still those of the id. */
export async function storeFile(blobs: BlobStore, path: string, { id, size }: BlobRef): Promise<void> {
  const partial = await blobs.openPartial(`file-${id}`, id, size);
  let offset = 0;
  try {
    for await (const chunk of chunksOf(path)) {
      // A partial blob that an earlier process left holds the beginning already.
      if (offset >= partial.nextOffset) {
        await partial.append(offset, chunk, createHash("sha256").update(chunk).digest());
      }
      offset += chunk.byteLength;
    }
    await partial.commit();
  } catch (thrown) {
    await partial.discard();
    throw thrown;
  }
}

/** Pieces of exactly 256 KiB, but for the last. */
async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of createReadStream(path, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    while (rest.length >= chunkBytes) {
      yield Buffer.from(rest.subarray(0, chunkBytes));
      rest = rest.subarray(chunkBytes);
    }
  }
  if (rest.length > 0) yield rest;
}
