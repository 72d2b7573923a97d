import { chunkBytes, FedLoraError, sha256, type PlanId, type UpdateMetrics, type UpdateReceipt } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { OpenUpdate } from "../client/client-state.js";
import type { Connection } from "../client/connection.js";
import type { BlobChunk, BlobReference, Transport } from "../transport/transport.js";

/** Times that the coordinator may find the whole upload wrong before it is our file's fault. */
const maxWrongBlobs = 3;

export interface DeliveryRequest {
  readonly planId: PlanId;
  /** The update and where it is read from; undefined for an evaluation, which uploads nothing. */
  readonly update: (BlobReference & { readonly open: () => Promise<OpenUpdate> }) | undefined;
  readonly metrics: UpdateMetrics;
  /** Bytes that the coordinator has or that were handed to the network. */
  readonly onProgress: (sentBytes: number) => void;
}

/**
 * Brings a finished update to the coordinator and returns its receipt. After any interruption it asks where to go on,
 * so verified bytes are sent once, and a commit whose answer was lost is answered with the same receipt. Failures that
 * may pass are retried until the signal aborts, others (`round-closed`, `update-norm`, ...) are thrown.
 */
export async function deliverUpdate(
  request: DeliveryRequest,
  connection: Connection,
  signal: AbortSignal,
): Promise<UpdateReceipt> {
  const { transport } = connection;
  const backoff = connection.backoff();
  let furthest = -1;
  let wrongBlobs = 0;
  for (;;) {
    try {
      signal.throwIfAborted();
      const uploadId = await sendMissing(request, transport, signal, (offset) => {
        if (offset > furthest) backoff.reset();
        furthest = Math.max(furthest, offset);
      });
      return await transport.commit(request.planId, uploadId, request.metrics, signal);
    } catch (error) {
      if (error instanceof FedLoraError && error.code === "blob-hash-mismatch" && ++wrongBlobs >= maxWrongBlobs)
        throw error;
      await connection.recover(error, backoff, signal);
    }
  }
}

async function sendMissing(
  { planId, update, onProgress }: DeliveryRequest,
  transport: Transport,
  signal: AbortSignal,
  onVerified: (offset: number) => void,
): Promise<string | undefined> {
  if (update === undefined) return undefined;
  const { id, size } = update;
  const { uploadId, nextOffset, complete } = await transport.beginUpload(planId, { id, size }, signal);
  if (!complete) {
    assertOffset(nextOffset, size);
    onVerified(nextOffset);
    onProgress(nextOffset);
    const reached = await transport.putChunks(uploadId, chunksOf(update, nextOffset, onProgress), signal);
    onVerified(reached);
    if (reached !== size) {
      throw new FedLoraError("chunk-offset-invalid", `the upload stopped at byte ${reached} of ${size}`);
    }
  }
  onProgress(size);
  return uploadId;
}

function assertOffset(offset: number, size: number): void {
  if (offset === size || (offset >= 0 && offset < size && offset % chunkBytes === 0)) return;
  throw new FedLoraError("internal", `the coordinator asks for byte ${offset} of an upload of ${size} bytes`);
}

async function* chunksOf(
  { size, open }: NonNullable<DeliveryRequest["update"]>,
  from: number,
  onProgress: (sentBytes: number) => void,
): AsyncGenerator<BlobChunk> {
  const update = await open();
  try {
    for (let offset = from; offset < size; offset += chunkBytes) {
      const data = await update.read(offset, Math.min(chunkBytes, size - offset));
      yield { offset, data, sha256: sha256(data, nodeSha256), total: size };
      onProgress(offset + data.byteLength);
    }
  } finally {
    await update.close();
  }
}
