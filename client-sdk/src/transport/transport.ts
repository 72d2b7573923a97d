import type { BlobId, PlanId, RoundPlan, RunId, UpdateMetrics, UpdateReceipt } from "@fedlora/core";

export interface EnrolInfo {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly sign: (message: Uint8Array) => Promise<Uint8Array> | Uint8Array;
  readonly baseModelHashes: readonly string[];
  readonly capability: ClientCapabilityReport;
}

/** As in proto's Capability; undefined = not measured. */
export interface ClientCapabilityReport {
  readonly memoryBytes: number | undefined;
  readonly stepMs: number | undefined;
  readonly uploadBytesPerSecond: number | undefined;
  readonly engine: string;
  readonly engineFingerprint: string;
  readonly directives: readonly string[];
  readonly codecs: readonly string[];
  readonly maxRank: number | undefined;
  readonly measurements: Readonly<Record<string, number>>;
}

export interface BlobReference {
  readonly id: BlobId;
  readonly size: number;
}

export type PollAnswer =
  | { readonly kind: "plan"; readonly plan: RoundPlan; readonly refs: Readonly<Record<BlobId, number>> }
  | { readonly kind: "wait"; readonly retryAfterMs: number; readonly reason: string }
  | {
      readonly kind: "ended";
      readonly runId: RunId;
      readonly state: "completed" | "stopped" | "failed";
      readonly globalAdapter: BlobReference | undefined;
      readonly instructions: BlobReference | undefined;
    };

export interface BlobChunk {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly sha256: Uint8Array;
  readonly total: number;
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
  report(
    progress: {
      planId: PlanId;
      stage: string;
      step: number;
      totalSteps: number;
      loss: number;
      capability: ClientCapabilityReport | undefined;
    },
    signal: AbortSignal,
  ): Promise<{ planOpen: boolean; deadlineMs: number }>;
  close(): Promise<void>;
}
