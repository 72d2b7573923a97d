/**
 * The closed table of errors. Codes are never reused or renamed; a deleted one stays as a comment.
 * `status` is the gRPC status the code travels as, `retryable` tells a client whether the same call may succeed later
 * without a change, `remedy` tells a person what to do. `docs/errors.md` lists the same codes; a test compares both ways.
 *
 * Messages say what, got, allowed, where: `rank 0 for module "layers.3.q_proj" must be an integer in [1, 256]`.
 */
export type GrpcStatus =
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "PERMISSION_DENIED"
  | "UNAUTHENTICATED"
  | "RESOURCE_EXHAUSTED"
  | "ABORTED"
  | "CANCELLED"
  | "DEADLINE_EXCEEDED"
  | "UNAVAILABLE"
  | "UNIMPLEMENTED"
  | "DATA_LOSS"
  | "INTERNAL";

export interface ErrorEntry {
  readonly status: GrpcStatus;
  readonly retryable: boolean;
  readonly remedy: string;
}

const entry = (status: GrpcStatus, remedy: string, retryable = false): ErrorEntry => ({ status, retryable, remedy });

export const errorTable = {
  // --- files and tensors (core)
  "safetensors-invalid": entry("INVALID_ARGUMENT", "The file is damaged or not safetensors; fetch or write it again."),
  "tensor-invalid": entry("INVALID_ARGUMENT", "Check the tensor's dtype and shape against its bytes."),
  "adapter-invalid": entry("INVALID_ARGUMENT", "Check adapter_config.json and the tensor names against PEFT's format."),
  "target-modules-unmatched": entry(
    "INVALID_ARGUMENT",
    "Name modules that the base model has; `fedlora model inspect` lists them.",
  ),
  "file-missing": entry("NOT_FOUND", "Check the path."),
  "file-invalid": entry("INVALID_ARGUMENT", "The file is not what its name promises; check it."),
  // --- run spec
  "spec-invalid": entry("INVALID_ARGUMENT", "Correct the named field; `fedlora run schema` prints every field."),
  "spec-combination-refused": entry(
    "INVALID_ARGUMENT",
    "The method does not allow this combination; choose another method or setting.",
  ),
  "method-unknown": entry("INVALID_ARGUMENT", "Use a name that `fedlora methods` prints."),
  "method-options-invalid": entry("INVALID_ARGUMENT", "Correct the method's options."),
  // --- models and engine (client)
  "model-missing": entry("NOT_FOUND", "Check the base-model folder: it needs config.json and safetensors weights."),
  "model-unsupported": entry("UNIMPLEMENTED", "Use a supported model family; the README lists them."),
  "model-hash-mismatch": entry(
    "FAILED_PRECONDITION",
    "Client and coordinator must hold the same base model; compare `fedlora model inspect`.",
  ),
  "engine-unavailable": entry(
    "FAILED_PRECONDITION",
    "Install onnxruntime-node or choose another engine; `fedlora doctor` tells what is there.",
  ),
  "engine-failed": entry("INTERNAL", "The training engine stopped; its message says why."),
  "engine-memory": entry("RESOURCE_EXHAUSTED", "Lower the batch size or length, or set memory: recompute."),
  "artifact-invalid": entry(
    "INVALID_ARGUMENT",
    "The training artifact is damaged or was made for another model; compile it again.",
  ),
  "artifact-untrusted": entry("PERMISSION_DENIED", "Compile locally, or pin the key that signed the artifact."),
  "data-invalid": entry("INVALID_ARGUMENT", "Correct the named example."),
  "data-empty": entry("FAILED_PRECONDITION", "The data source yielded no usable example."),
  // --- the owner's policy (client)
  "policy-declined": entry("PERMISSION_DENIED", "The owner's policy does not allow this plan."),
  "directive-unknown": entry("UNIMPLEMENTED", "Update the client: it lacks a directive of this plan."),
  cancelled: entry("CANCELLED", "The caller cancelled the operation."),
  // --- protocol
  "protocol-version": entry(
    "FAILED_PRECONDITION",
    "Client and coordinator share no protocol version; update the older one.",
  ),
  "request-invalid": entry("INVALID_ARGUMENT", "Correct the named field of the request."),
  unauthenticated: entry("UNAUTHENTICATED", "Enrol again."),
  "coordinator-untrusted": entry(
    "PERMISSION_DENIED",
    "The coordinator's key or signature is not that of the key pinned on first use; if it was replaced on purpose, remove its line from coordinators.json in the state folder.",
  ),
  "blob-not-found": entry("NOT_FOUND", "The blob does not exist or was deleted after its round."),
  "blob-range-invalid": entry("INVALID_ARGUMENT", "Ask for a range inside the blob."),
  "chunk-hash-mismatch": entry("DATA_LOSS", "Send the chunk again.", true),
  "chunk-offset-invalid": entry("FAILED_PRECONDITION", "Continue at the offset that the coordinator names.", true),
  "blob-hash-mismatch": entry("DATA_LOSS", "Send the upload again from its first byte.", true),
  "upload-not-found": entry("NOT_FOUND", "Begin the upload again.", true),
  "upload-too-large": entry("INVALID_ARGUMENT", "The plan's layout allows fewer bytes."),
  "upload-busy": entry("RESOURCE_EXHAUSTED", "Too many uploads at once; try again after the time given.", true),
  "storage-full": entry("RESOURCE_EXHAUSTED", "Free space on the disk of the machine that reports it.", true),
  "deadline-exceeded": entry("DEADLINE_EXCEEDED", "The other side did not answer in time; try again.", true),
  unavailable: entry("UNAVAILABLE", "The coordinator cannot be reached or is draining; try again.", true),
  // --- plans and updates
  "plan-unknown": entry("NOT_FOUND", "Poll for a new plan."),
  "plan-not-yours": entry("PERMISSION_DENIED", "Only the client that a plan was issued to may use it."),
  "round-closed": entry("FAILED_PRECONDITION", "The round is closed; poll for a new plan."),
  "update-conflict": entry("ALREADY_EXISTS", "A different update was accepted for this plan; the first one counts."),
  "update-tensor-missing": entry("INVALID_ARGUMENT", "Send every tensor of the plan's layout."),
  "update-tensor-unexpected": entry("INVALID_ARGUMENT", "Send only the tensors of the plan's layout."),
  "update-dtype": entry("INVALID_ARGUMENT", "Encode the update with the codec of the plan."),
  "update-shape": entry("INVALID_ARGUMENT", "Use the shapes of the plan's layout."),
  "update-not-finite": entry("INVALID_ARGUMENT", "Training diverged; lower the learning rate."),
  "update-norm": entry("INVALID_ARGUMENT", "The update is larger than the run allows."),
  "update-frozen-mismatch": entry("INVALID_ARGUMENT", "Train on the frozen tensors that the plan names by hash."),
  "update-weight": entry("INVALID_ARGUMENT", "Report the number of examples trained on."),
  "update-metrics": entry("INVALID_ARGUMENT", "Metrics must be finite and in range."),
  // --- privacy
  "privacy-invalid": entry("INVALID_ARGUMENT", "Correct the named privacy setting; no guarantee follows from it."),
  "privacy-unbounded": entry("FAILED_PRECONDITION", "No finite epsilon can be computed for this; see the message."),
  "privacy-budget": entry(
    "FAILED_PRECONDITION",
    "The privacy budget is spent or too small for the next step; `fedlora privacy show` prints the ledger.",
  ),
  // --- simulations
  "scenario-invalid": entry(
    "INVALID_ARGUMENT",
    "Correct the named field; `fedlora simulate --schema` prints every field.",
  ),
  "partition-impossible": entry(
    "FAILED_PRECONDITION",
    "The data cannot be shared out like this; take fewer clients, more even shares, or set partition.examplesPerClient.",
  ),
  "engine-mixed": entry(
    "FAILED_PRECONDITION",
    "Workers with different engines give different bits; use machines and packages of one kind.",
  ),
  "worker-mismatch": entry(
    "FAILED_PRECONDITION",
    "Start every worker with the simulation's own scenario file, data and base model.",
  ),
  "worker-missing": entry(
    "UNAVAILABLE",
    "Start workers with `fedlora simulate-worker`, the same scenario and the same --redis; their own output says why they ended.",
    true,
  ),
  "queue-unavailable": entry(
    "UNAVAILABLE",
    "Start Redis (Debian's package is redis-server) or correct --redis; this machine and every worker must reach it.",
    true,
  ),
  "simulation-stuck": entry(
    "INTERNAL",
    "Nothing is left to happen and the run has not ended; please report it with the scenario.",
  ),
  // --- runs and storage (coordinator)
  "run-not-found": entry("NOT_FOUND", "`fedlora run list` prints the runs."),
  "run-exists": entry("ALREADY_EXISTS", "Use another idempotency key, or the run that exists."),
  "run-state": entry("FAILED_PRECONDITION", "The run's state does not allow this; `fedlora run show` tells it."),
  "round-failed": entry(
    "FAILED_PRECONDITION",
    "Too few updates before the deadline; lower the quorum or allow more time.",
  ),
  "journal-corrupt": entry(
    "DATA_LOSS",
    "Restore the storage folder from a backup; the message names the damaged record.",
  ),
  "journal-sequence": entry("ABORTED", "Another writer appended first; reload and try again."),
  "storage-fenced": entry("ABORTED", "Another coordinator took over this storage folder; stop this one."),
  "config-invalid": entry("INVALID_ARGUMENT", "Correct the named option."),
  "export-refused": entry(
    "FAILED_PRECONDITION",
    "The run has nothing to export yet, or only another form of export is sound.",
  ),
  "insecure-refused": entry("FAILED_PRECONDITION", "Plaintext beyond loopback needs --insecure."),
  internal: entry("INTERNAL", "This is a bug; please report it with the log."),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

export interface FedLoraErrorOptions {
  /** Machine-readable facts, e.g. the tensor's name or the current round; values are strings so that they travel. */
  readonly details?: Readonly<Record<string, string>>;
  /** For "try again later" answers: how long to wait. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The only error class that crosses a package or the wire. */
export class FedLoraError extends Error {
  override readonly name = "FedLoraError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: FedLoraErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  get status(): GrpcStatus {
    return errorTable[this.code].status;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  get remedy(): string {
    return errorTable[this.code].remedy;
  }

  /** Anything thrown, as a FedLoraError; what is unknown becomes `internal` with the original as cause. */
  static from(thrown: unknown): FedLoraError {
    if (thrown instanceof FedLoraError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new FedLoraError("internal", message, { cause: thrown });
  }
}

export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(errorTable, value);
}
