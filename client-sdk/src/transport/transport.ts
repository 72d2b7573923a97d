import type { BlobId, PlanId, RunId, UpdateMetrics, UpdateReceipt } from "@fedlora/core";
import type {
  BlobChunk,
  BlobReference,
  CapabilityReport as ClientCapabilityReport,
  ProgressReport,
  ReceivedPoll as PollAnswer,
  ReportAnswer,
} from "@fedlora/proto";

export type { BlobChunk, BlobReference, ClientCapabilityReport, PollAnswer };

export interface EnrolInfo {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly sign: (message: Uint8Array) => Promise<Uint8Array> | Uint8Array;
  readonly baseModelHashes: readonly string[];
  readonly capability: ClientCapabilityReport;
}

/**
 * The v1 protocol as a client sees it; every implementation runs `transport-contract.ts`. Each call has a deadline and
 * takes a signal; failures are FedLoraErrors with the coordinator's code, an aborted signal rejects with its reason; nothing
 * is retried here (`retry.ts` does). The signatures of plans and receipts are verified here, against the key that `enrol`
 * answered with: `coordinator-untrusted` where they are not the coordinator's.
 */
export interface Transport {
  enrol(
    info: EnrolInfo,
    signal: AbortSignal,
  ): Promise<{ clientId: string; coordinatorKey: Uint8Array; pollWaitMs: number }>;
  poll(
    request: {
      waitMs: number;
      runId: RunId | undefined;
      baseModelHashes: readonly string[];
      capability: ClientCapabilityReport;
    },
    signal: AbortSignal,
  ): Promise<PollAnswer>;
  getBlob(id: BlobId, offset: number, signal: AbortSignal): AsyncIterable<BlobChunk>;
  beginUpload(
    planId: PlanId,
    blob: BlobReference,
    signal: AbortSignal,
  ): Promise<{ uploadId: string; nextOffset: number; complete: boolean }>;
  /** Sends chunks in order and returns the offset reached; stops reading the source when the other side slows down. */
  putChunks(uploadId: string, chunks: AsyncIterable<BlobChunk>, signal: AbortSignal): Promise<number>;
  putChunk(uploadId: string, chunk: BlobChunk, signal: AbortSignal): Promise<number>;
  commit(
    planId: PlanId,
    uploadId: string | undefined,
    metrics: UpdateMetrics,
    signal: AbortSignal,
  ): Promise<UpdateReceipt>;
  decline(planId: PlanId, code: string, reason: string, signal: AbortSignal): Promise<void>;
  report(progress: ProgressReport, signal: AbortSignal): Promise<ReportAnswer>;
  close(): Promise<void>;
}
