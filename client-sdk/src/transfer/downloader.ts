import { chunkBytes, FedLoraError, sha256 } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { Connection } from "../client/connection.js";
import type { BlobChunk, BlobReference } from "../transport/transport.js";
import type { DownloadCache, PartialDownload } from "../client/client-state.js";

/** Whole transfers whose chunks were right and whose sum was not, before it counts as the sender's fault. */
const maxWrongBlobs = 3;

export interface Download {
  readonly bytes: Uint8Array;
  /** Bytes that came over the network in this call. */
  readonly fetchedBytes: number;
}

/**
 * Fetches a blob, or takes it from the cache. Every chunk is verified before it is kept; an interrupted download goes
 * on at the last verified chunk, in this call or after a restart. Failures that may pass are retried until the signal
 * aborts; others (`blob-not-found`) are thrown.
 */
export async function downloadBlob(
  ref: BlobReference,
  connection: Connection,
  cache: DownloadCache,
  signal: AbortSignal,
): Promise<Download> {
  const cached = await cache.read(ref);
  if (cached !== undefined) return { bytes: cached, fetchedBytes: 0 };
  const partial = await cache.openPartial(ref);
  const fetchedBytes = await fetchInto(partial, ref, connection, signal).finally(() => partial.close());
  const bytes = await cache.read(ref);
  if (bytes === undefined) throw new FedLoraError("internal", `blob ${ref.id} vanished from the cache`);
  return { bytes, fetchedBytes };
}

/** As `downloadBlob`, for a blob that stays on disk. */
export async function downloadFile(
  ref: BlobReference,
  connection: Connection,
  cache: DownloadCache,
  signal: AbortSignal,
): Promise<{ readonly path: string; readonly fetchedBytes: number }> {
  const cached = await cache.file(ref);
  if (cached !== undefined) return { path: cached, fetchedBytes: 0 };
  const partial = await cache.openPartial(ref);
  const fetchedBytes = await fetchInto(partial, ref, connection, signal).finally(() => partial.close());
  const path = await cache.file(ref);
  if (path === undefined) throw new FedLoraError("internal", `blob ${ref.id} vanished from the cache`);
  return { path, fetchedBytes };
}

async function fetchInto(
  partial: PartialDownload,
  ref: BlobReference,
  connection: Connection,
  signal: AbortSignal,
): Promise<number> {
  const backoff = connection.backoff();
  let fetchedBytes = 0;
  let wrongBlobs = 0;
  for (;;) {
    try {
      if (partial.offset < ref.size) {
        for await (const chunk of connection.transport.getBlob(ref.id, partial.offset, signal)) {
          assertChunk(chunk, partial.offset, ref);
          await partial.append(chunk.data, chunk.sha256);
          fetchedBytes += chunk.data.byteLength;
          backoff.reset();
        }
      }
      if (partial.offset < ref.size) {
        throw new FedLoraError("unavailable", `blob ${ref.id} ended at byte ${partial.offset} of ${ref.size}`);
      }
      await partial.finish();
      return fetchedBytes;
    } catch (error) {
      if (error instanceof FedLoraError && error.code === "blob-hash-mismatch" && ++wrongBlobs >= maxWrongBlobs)
        throw error;
      await connection.recover(error, backoff, signal);
    }
  }
}

function assertChunk(chunk: BlobChunk, offset: number, ref: BlobReference): void {
  const expected = Math.min(chunkBytes, ref.size - offset);
  if (chunk.total !== ref.size || chunk.offset !== offset || chunk.data.byteLength !== expected) {
    throw new FedLoraError(
      "chunk-offset-invalid",
      `blob ${ref.id}: got ${chunk.data.byteLength} bytes at ${chunk.offset} of ${chunk.total}, ` +
        `expected ${expected} at ${offset} of ${ref.size}`,
    );
  }
  if (Buffer.compare(sha256(chunk.data, nodeSha256), chunk.sha256) !== 0) {
    throw new FedLoraError("chunk-hash-mismatch", `blob ${ref.id}: the chunk at ${offset} does not match its hash`);
  }
}
