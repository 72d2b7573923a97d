import {
  assertUpdateMetrics,
  FedLoraError,
  type BlobId,
  type ClientId,
  type Clock,
  type ErrorCode,
  type PlanId,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import {
  metricsFromWire,
  type BlobReference,
  type CommitQuestion,
  type UploadChunk,
  type UploadState,
} from "@fedlora/proto";
import type { ClientService, UploadTicket } from "../service.js";
import type { BlobStore } from "../storage/storage.js";
import { Admission, type AdmissionOptions } from "./admission.js";
import { KeyLock } from "./key-lock.js";
import { Upload, uploadIdOf } from "./upload.js";
import type { UpdateValidator } from "./validate-blob.js";

export interface IntakeOptions extends AdmissionOptions {
  /** An upload without a chunk for so long gives its place to another; its bytes stay. */
  readonly idleMs: number;
}

export const intakeDefaults: IntakeOptions = {
  maxUploads: 8,
  budgetBytes: 160 * 1024 * 1024,
  idleMs: 30_000,
};

export interface IntakeParts {
  readonly clients: ClientService;
  readonly blobs: BlobStore;
  readonly validate: UpdateValidator;
  readonly clock: Clock;
  readonly options: IntakeOptions;
}

/**
 * Takes updates in: verified chunk by chunk, validated whole, durable, then accepted. Every step is idempotent, so a client
 * that lost an answer repeats the step. One plan has one upload at a time; everything about a plan runs in order.
 */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #admission: Admission;
  readonly #uploads = new Map<string, Upload>();
  readonly #plans = new KeyLock<PlanId>();
  /** Two plans may bring the same blob: a refusal of one must not remove what the other had accepted. */
  readonly #blobs = new KeyLock<BlobId>();
  #isDraining = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts.options, parts.clock);
  }

  /** Uploads that hold a place. */
  get openUploads(): number {
    return this.#admission.open;
  }

  /**
   * Opens the upload of a blob for a plan, or finds it again: `nextOffset` is where to go on. Throws what `ticket` throws,
   * `upload-too-large`, `update-conflict` (another blob was accepted), `upload-busy`, `unavailable` (draining).
   */
  async begin(clientId: ClientId, planId: PlanId, blob: BlobReference): Promise<UploadState> {
    return this.#plans.run(planId, async () => {
      const ticket = await this.#ticket(clientId, planId);
      const uploadId = uploadIdOf(planId, blob.id);
      if (ticket.accepted !== undefined) {
        assertSameBlob(ticket.accepted, blob.id);
        return { uploadId, nextOffset: blob.size, complete: true };
      }
      if (blob.size > ticket.maxBytes) {
        const message = `an update of ${blob.size} bytes; the plan's layout allows ${ticket.maxBytes}`;
        throw new FedLoraError("upload-too-large", message, { details: { maxBytes: String(ticket.maxBytes) } });
      }
      const upload = this.#uploads.get(uploadId) ?? (await this.#open(clientId, planId, blob));
      upload.lastSeenMs = this.#now();
      return { uploadId, nextOffset: upload.partial.nextOffset, complete: upload.isComplete };
    });
  }

  /** Verifies and stores one chunk; returns the next offset. A chunk that is there already is answered, not stored again. */
  async putChunk(clientId: ClientId, chunk: UploadChunk): Promise<number> {
    const upload = this.#find(clientId, chunk.uploadId);
    upload.lastSeenMs = this.#now();
    if (chunk.offset + chunk.data.byteLength <= upload.partial.nextOffset) return upload.partial.nextOffset;
    const nextOffset = await upload.append(chunk);
    upload.lastSeenMs = this.#now();
    this.#parts.clients.countBytes(upload.planId, "up", chunk.data.byteLength);
    return nextOffset;
  }

  /** The same for a stream. Reads the next chunk only when the store has taken the one before: HTTP/2 does the waiting. */
  async putChunks(clientId: ClientId, chunks: AsyncIterable<UploadChunk>): Promise<number> {
    let nextOffset = 0;
    for await (const chunk of chunks) nextOffset = await this.putChunk(clientId, chunk);
    return nextOffset;
  }

  /**
   * Validates, makes durable, then accepts. The same update gets the same receipt again. A refused update leaves the plan
   * open for a corrected one until the round's deadline. Throws the codes of `ticket`, `accept` and the validation,
   * `upload-not-found` (begin again), `chunk-offset-invalid` (bytes are missing), `blob-hash-mismatch`.
   */
  async commit(clientId: ClientId, question: CommitQuestion): Promise<UpdateReceipt> {
    const { planId, uploadId } = question;
    return this.#plans.run(planId, async () => {
      const { clients } = this.#parts;
      const ticket = await this.#ticket(clientId, planId);
      if (uploadId === undefined) {
        const metrics = await this.#refusing(clientId, planId, () => checkedMetrics(question, ticket));
        return clients.acceptEvaluation(clientId, planId, metrics);
      }
      if (ticket.accepted !== undefined) {
        if (ticket.accepted.blobId !== "" && uploadIdOf(planId, ticket.accepted.blobId) === uploadId)
          return ticket.accepted;
        throw conflict(ticket.accepted);
      }
      const upload = this.#find(clientId, uploadId);
      upload.isCommitting = true;
      try {
        return await this.#blobs.run(upload.blob.id, () => this.#commit(upload, ticket, question));
      } finally {
        upload.isCommitting = false;
        upload.lastSeenMs = this.#now();
      }
    });
  }

  /** Gives the places of silent uploads to others; called from time to time. */
  async releaseIdle(): Promise<void> {
    const limit = this.#now() - this.#parts.options.idleMs;
    const idle = [...this.#uploads.values()].filter((upload) => !upload.isCommitting && upload.lastSeenMs < limit);
    await Promise.all(idle.map((upload) => this.#close(upload, true)));
  }

  /** No upload is begun any more; what runs may finish. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Keeps the verified bytes of every open upload for the next start. */
  async close(): Promise<void> {
    this.#isDraining = true;
    await Promise.all([...this.#uploads.values()].map((upload) => this.#close(upload, true)));
  }

  /** The plan's terms; where the plan is over, its upload is too. */
  async #ticket(clientId: ClientId, planId: PlanId): Promise<UploadTicket> {
    try {
      return await this.#parts.clients.ticket(clientId, planId);
    } catch (thrown) {
      const { code } = FedLoraError.from(thrown);
      if (code === "round-closed" || code === "plan-unknown") await this.#closePlan(planId);
      throw thrown;
    }
  }

  /** A plan has one upload at a time; the bytes of one that nobody wants any more are removed. */
  async #closePlan(planId: PlanId): Promise<void> {
    const uploads = [...this.#uploads.values()].filter((upload) => upload.planId === planId);
    await Promise.all(uploads.map((upload) => this.#close(upload, false)));
  }

  async #open(clientId: ClientId, planId: PlanId, blob: BlobReference): Promise<Upload> {
    if (this.#isDraining) throw new FedLoraError("unavailable", "the coordinator is draining", { retryAfterMs: 5000 });
    // A corrected update replaces the one that was begun before.
    await this.#closePlan(planId);
    const giveBack = this.#admission.admit(blob.size);
    try {
      const partial = await this.#parts.blobs.openPartial(planId, blob.id, blob.size);
      const upload = new Upload({ clientId, planId, blob, partial, giveBack, nowMs: this.#now() });
      this.#uploads.set(upload.id, upload);
      return upload;
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  async #commit(upload: Upload, ticket: UploadTicket, question: CommitQuestion): Promise<UpdateReceipt> {
    const { clients, blobs, validate } = this.#parts;
    const { clientId, planId, blob } = upload;
    const existed = await blobs.has(blob.id);
    try {
      await upload.partial.commit();
    } catch (error) {
      if (FedLoraError.from(error).code === "blob-hash-mismatch") await this.#close(upload, false);
      throw error;
    }
    await this.#close(upload, true);
    try {
      const { metrics, updateNorm } = await this.#refusing(clientId, planId, async () => ({
        metrics: checkedMetrics(question, ticket),
        updateNorm: await validate(blob, ticket),
      }));
      return await clients.accept(clientId, planId, { blobId: blob.id, bytes: blob.size, updateNorm, metrics });
    } catch (error) {
      if (!existed && isRefusal(FedLoraError.from(error))) await blobs.delete(blob.id);
      throw error;
    }
  }

  /** Tells the run about an update that was refused, so that it is counted and shown with its reason. */
  async #refusing<T>(clientId: ClientId, planId: PlanId, check: () => T | Promise<T>): Promise<T> {
    try {
      return await check();
    } catch (thrown) {
      const error = FedLoraError.from(thrown);
      if (error.code !== "internal") await this.#parts.clients.refuse(clientId, planId, error.code, error.message);
      throw error;
    }
  }

  #find(clientId: ClientId, uploadId: string): Upload {
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined) {
      throw new FedLoraError("upload-not-found", `upload ${uploadId} is not open; begin it to go on`);
    }
    if (upload.clientId !== clientId) {
      throw new FedLoraError("plan-not-yours", `upload ${uploadId} belongs to another client`);
    }
    return upload;
  }

  async #close(upload: Upload, keep: boolean): Promise<void> {
    this.#uploads.delete(upload.id);
    await upload.close(keep);
  }

  #now(): number {
    return this.#parts.clock.monotonicMs();
  }
}

/** Throws `update-weight`, `update-metrics`. */
function checkedMetrics(question: CommitQuestion, { task }: UploadTicket): UpdateMetrics {
  const metrics = metricsFromWire(question.metrics);
  assertUpdateMetrics(task, metrics);
  return metrics;
}

/**
 * Whether an update certainly does not count. Any other failure may have come after the acceptance was made durable, so
 * its blob stays for the client's next commit.
 */
function isRefusal({ code }: FedLoraError): boolean {
  return refusals.has(code);
}

const refusals: ReadonlySet<ErrorCode> = new Set([
  "safetensors-invalid",
  "tensor-invalid",
  "request-invalid",
  "update-tensor-missing",
  "update-tensor-unexpected",
  "update-dtype",
  "update-shape",
  "update-not-finite",
  "update-norm",
  "update-weight",
  "update-metrics",
  "update-conflict",
  "round-closed",
  "plan-unknown",
  "plan-not-yours",
]);

function assertSameBlob(accepted: UpdateReceipt, blobId: BlobId): void {
  if (accepted.blobId !== blobId) throw conflict(accepted);
}

function conflict(accepted: UpdateReceipt): FedLoraError {
  const message = `plan ${accepted.planId} was answered with update ${accepted.blobId || "(evaluation)"}; that one counts`;
  return new FedLoraError("update-conflict", message, { details: { blobId: accepted.blobId } });
}
