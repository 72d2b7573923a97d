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
  TaskSpec,
  TensorLayout,
  UpdateMetrics,
  UpdateReceipt,
} from "@fedlora/core";
import type {
  AuditedFact,
  CapabilityReport,
  EndedAnswer,
  Enrolment,
  EvaluationResult,
  ExportedAdapter,
  PollQuestion,
  PrivacyReport,
  ProgressReport,
  ReportAnswer,
  RoundPhase,
  RoundSummary,
  RunDetail,
  RunEventRecord,
  RunState,
  RunSummary,
  WaitAnswer,
} from "@fedlora/proto";

export type {
  CapabilityReport,
  EvaluationResult,
  PrivacyReport,
  RoundPhase,
  RoundSummary,
  RunDetail,
  RunEventRecord,
  RunState,
  RunSummary,
};

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

export type ClientInfo = Enrolment;

export type PollAnswer = { readonly kind: "plan"; readonly plan: RoundPlan } | WaitAnswer | EndedAnswer;

/** What intake must hold an upload against. */
export interface UploadTicket {
  readonly runId: RunId;
  readonly round: number;
  readonly planId: PlanId;
  /** Says which counts the metrics must hold. */
  readonly task: TaskSpec;
  /** The tensors of the update as it travels, and decoded by the codec. */
  readonly layout: TensorLayout;
  readonly values: TensorLayout;
  readonly codec: string;
  /** Blobs of the frozen tensors that the update must have been trained on. */
  readonly frozen: readonly BlobId[];
  readonly maxBytes: number;
  readonly maxNorm: number | undefined;
  /** The acceptance that this plan already has; the same blob gets the same receipt, another is `update-conflict`. */
  readonly accepted: UpdateReceipt | undefined;
}

export interface ClientService {
  /** Idempotent per public key: the id is derived from it. */
  enrol(client: ClientInfo): Promise<ClientId>;
  /** Waits at most `waitMs`; a client with an open plan gets that plan again. */
  poll(clientId: ClientId, request: PollQuestion, signal: AbortSignal): Promise<PollAnswer>;
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
  report(clientId: ClientId, planId: PlanId, progress: Omit<ProgressReport, "planId">): Promise<ReportAnswer>;
  /** Transfer meter: bytes moved for a plan. */
  countBytes(planId: PlanId, direction: "up" | "down", bytes: number): void;
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
  exportAdapter(runId: RunId, round: number, form: string): Promise<ExportedAdapter>;
  privacy(runId: RunId): Promise<PrivacyReport>;
  audit(runId: RunId, afterSequence: number): AsyncIterable<AuditedFact>;
}
