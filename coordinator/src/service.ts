import type {
  BaseModelHash,
  BlobId,
  ClientId,
  ErrorCode,
  ModelManifest,
  PlanId,
  RoundPlan,
  RunId,
  RunSpec,
  TensorLayout,
  UpdateMetrics,
  UpdateReceipt,
} from "@fedlora/core";

/**
 * The coordinator without its transport: what the gRPC handlers (and in-process clients of simulations) call. One object
 * owns all runs; every answer is durable before it is given. Errors are FedLoraErrors.
 */
export interface CoordinatorService {
  readonly clients: ClientService;
  readonly admin: AdminService;
  /** Refuses new plans and uploads, lets running ones finish, flushes the journal. */
  drain(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface ClientInfo {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly baseModelHashes: readonly BaseModelHash[];
  readonly capability: CapabilityReport;
}

/** Measured by the client; undefined where it has not measured. */
export interface CapabilityReport {
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

export type PollAnswer =
  | { readonly kind: "plan"; readonly plan: RoundPlan }
  | {
      readonly kind: "wait";
      readonly retryAfterMs: number;
      readonly reason: "no-run" | "round-full" | "between-rounds" | "draining";
    }
  | {
      readonly kind: "ended";
      readonly runId: RunId;
      readonly state: "completed" | "stopped" | "failed";
      readonly globalAdapter: { readonly id: BlobId; readonly size: number } | undefined;
      readonly instructions: { readonly id: BlobId; readonly size: number } | undefined;
    };

/** What intake must hold an upload against. */
export interface UploadTicket {
  readonly runId: RunId;
  readonly round: number;
  readonly planId: PlanId;
  readonly layout: TensorLayout;
  readonly maxBytes: number;
  readonly maxNorm: number | undefined;
  /** The acceptance that this plan already has; the same blob gets the same receipt, another is `update-conflict`. */
  readonly accepted: UpdateReceipt | undefined;
}

export interface ClientService {
  /** Idempotent per public key: the id is derived from it. */
  enrol(client: ClientInfo): Promise<ClientId>;
  /** Waits at most `waitMs`; a client with an open plan gets that plan again. */
  poll(
    clientId: ClientId,
    request: {
      waitMs: number;
      runId: RunId | undefined;
      baseModelHashes: readonly BaseModelHash[];
      capability: CapabilityReport | undefined;
    },
    signal: AbortSignal,
  ): Promise<PollAnswer>;
  /** Which blobs a client may read: those of plans it was given and of runs that ended. Throws `blob-not-found`. */
  authorizeBlob(clientId: ClientId, id: BlobId): Promise<{ readonly size: number }>;
  /** Throws `plan-unknown`, `plan-not-yours`, `round-closed`. */
  ticket(clientId: ClientId, planId: PlanId): Promise<UploadTicket>;
  /** The blob is validated and durable; journals the acceptance, then answers. Throws `round-closed`, `update-conflict`. */
  accept(
    clientId: ClientId,
    planId: PlanId,
    update: { blobId: BlobId; bytes: number; updateNorm: number; metrics: UpdateMetrics },
  ): Promise<UpdateReceipt>;
  /** An evaluation's counts: no blob. */
  acceptEvaluation(clientId: ClientId, planId: PlanId, metrics: UpdateMetrics): Promise<UpdateReceipt>;
  /** Intake refused an update: counted by code, shown in the run's events; the client may correct it until the deadline. */
  refuse(clientId: ClientId, planId: PlanId, code: ErrorCode, message: string): Promise<void>;
  decline(clientId: ClientId, planId: PlanId, code: string, reason: string): Promise<void>;
  report(
    clientId: ClientId,
    planId: PlanId,
    progress: {
      stage: string;
      step: number;
      totalSteps: number;
      loss: number;
      capability: CapabilityReport | undefined;
    },
  ): Promise<{ readonly planOpen: boolean; readonly deadlineMs: number }>;
  /** Transfer meter: bytes moved for a plan. */
  countBytes(planId: PlanId, direction: "up" | "down", bytes: number): void;
}

export type RunState = "running" | "stopped" | "completed" | "failed";
export type RoundPhase =
  "selecting" | "configuring" | "training" | "unmasking" | "aggregating" | "evaluating" | "committed" | "failed";

export interface EvaluationResult {
  readonly count: number;
  readonly loss: number;
  readonly accuracy: number | undefined;
  /** F1 of the task's positive label. */
  readonly f1: number | undefined;
  readonly confusion: readonly number[];
}

export interface RoundSummary {
  readonly round: number;
  readonly planned: number;
  readonly accepted: number;
  readonly refused: number;
  readonly declined: number;
  readonly dropouts: number;
  readonly trainLoss: number | undefined;
  readonly evaluation: EvaluationResult | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly durationMs: number;
  readonly adapterBlobId: BlobId;
  readonly methodMetrics: Readonly<Record<string, number>>;
}

export interface RunSummary {
  readonly runId: RunId;
  readonly name: string;
  readonly state: RunState;
  readonly phase: RoundPhase;
  readonly round: number;
  readonly rounds: number;
  readonly method: string;
  /** Why it waits, stopped or failed, in words; empty when there is nothing to say. */
  readonly reason: string;
  readonly createdMs: number;
  readonly baseModelHash: BaseModelHash;
}

export interface RunDetail {
  readonly summary: RunSummary;
  readonly spec: RunSpec;
  readonly rounds: readonly RoundSummary[];
  readonly bestRound: number;
  readonly globalAdapter: { readonly id: BlobId; readonly size: number } | undefined;
}

/** What `watch` yields; `data` is stable per kind (docs/reference/run-events.md). */
export interface RunEventRecord {
  readonly sequence: number;
  readonly kind: string;
  readonly round: number;
  readonly clientId: string;
  readonly atMs: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface AdminService {
  registerModel(manifest: ModelManifest): Promise<BaseModelHash>;
  createRun(idempotencyKey: string, spec: RunSpec): Promise<RunDetail>;
  listRuns(): Promise<readonly RunSummary[]>;
  getRun(runId: RunId): Promise<RunDetail>;
  stopRun(runId: RunId, reason: string, idempotencyKey: string): Promise<RunDetail>;
  /** Continues a stopped or failed run at the round after its last commit. */
  resumeRun(runId: RunId, idempotencyKey: string): Promise<RunDetail>;
  watch(runId: RunId, afterSequence: number, signal: AbortSignal): AsyncIterable<RunEventRecord>;
  /** `adapterConfig` is PEFT's adapter_config.json as a value. */
  exportAdapter(
    runId: RunId,
    round: number,
    form: string,
  ): Promise<{ adapter: { id: BlobId; size: number }; adapterConfig: Record<string, unknown>; round: number }>;
  privacy(runId: RunId): Promise<{ mode: string; ledger: unknown }>;
  audit(
    runId: RunId,
    afterSequence: number,
  ): AsyncIterable<{ readonly sequence: number; readonly fact: Readonly<Record<string, unknown>> }>;
}
