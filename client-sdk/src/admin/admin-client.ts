import { randomUUID } from "node:crypto";
import {
  BlobHasher,
  blobIdOf,
  chunksOf,
  FedLoraError,
  type BaseModelHash,
  type BlobId,
  type ModelManifest,
  type RunId,
  type RunSpec,
} from "@fedlora/core";
import { nodeSha256, writeFileAtomically } from "@fedlora/core/node";
import {
  auditRecordFromWire,
  blobChunkFromWire,
  createClients,
  errorFromStatus,
  exportedAdapterFromWire,
  privacyPageFromWire,
  runEventFromWire,
  runPageFromWire,
  runSummaryFromWire,
  type AuditedFact,
  type ExportedAdapter,
  type PrivacyReport,
  type PrivacyRound,
  type RunDetail,
  type RunEventRecord,
  type RunSummary,
} from "@fedlora/proto";
import { credentials, type ClientReadableStream, type ClientUnaryCall, type ServiceError } from "@grpc/grpc-js";
import { checkEndpoint } from "../transport/endpoint.js";

export interface AdminClientOptions {
  /** `host:port` of the coordinator. */
  readonly coordinator: string;
  /** Plaintext to another host than loopback; default false. */
  readonly insecure?: boolean;
  /** Longest wait for one answer, in ms; default 30000. Streams have none. */
  readonly timeoutMs?: number;
}

type Unary<Answer> = (
  options: { deadline: Date },
  done: (failure: ServiceError | null, answer?: Answer) => void,
) => ClientUnaryCall;

/**
 * What an operator asks of a coordinator: models, runs, progress, exports. Writes carry an idempotency key, made here when
 * the caller has none; failures are FedLoraErrors with the coordinator's code. Connects on the first call; throws
 * `config-invalid` for a malformed address, `insecure-refused` for plaintext beyond loopback.
 */
export class AdminClient {
  readonly #clients;
  readonly #timeoutMs: number;

  constructor(options: AdminClientOptions) {
    const address = checkEndpoint(options.coordinator, options.insecure ?? false);
    this.#clients = createClients(address, credentials.createInsecure());
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  async registerModel(manifest: ModelManifest, idempotencyKey: string = randomUUID()): Promise<BaseModelHash> {
    const request = { idempotencyKey, manifestJson: JSON.stringify(manifest) };
    const answer = await this.#call<{ hash: string }>((options, done) =>
      this.#admin.registerModel(request, options, done),
    );
    return answer.hash as BaseModelHash;
  }

  async createRun(spec: RunSpec, idempotencyKey: string = randomUUID()): Promise<RunDetail> {
    const request = { idempotencyKey, specJson: JSON.stringify(spec) };
    return runPageFromWire(await this.#call((options, done) => this.#admin.createRun(request, options, done)));
  }

  async listRuns(): Promise<readonly RunSummary[]> {
    const answer = await this.#call<{ runs: Parameters<typeof runSummaryFromWire>[0][] }>((options, done) =>
      this.#admin.listRuns({}, options, done),
    );
    return answer.runs.map(runSummaryFromWire);
  }

  /** Every round, page by page. */
  async getRun(runId: RunId): Promise<RunDetail> {
    const rounds: RunDetail["rounds"][number][] = [];
    for (;;) {
      const request = { runId, afterRound: rounds.at(-1)?.round ?? 0 };
      const page = runPageFromWire(await this.#call((options, done) => this.#admin.getRun(request, options, done)));
      rounds.push(...page.rounds);
      if (!page.hasMoreRounds) return { ...page, rounds };
    }
  }

  async stopRun(runId: RunId, reason: string, idempotencyKey: string = randomUUID()): Promise<RunDetail> {
    const request = { idempotencyKey, runId, reason };
    return runPageFromWire(await this.#call((options, done) => this.#admin.stopRun(request, options, done)));
  }

  async resumeRun(runId: RunId, idempotencyKey: string = randomUUID()): Promise<RunDetail> {
    const request = { idempotencyKey, runId, reason: "" };
    return runPageFromWire(await this.#call((options, done) => this.#admin.resumeRun(request, options, done)));
  }

  /** The run's events after a sequence, then live ones, until the run ends or the signal aborts. */
  async *watchRun(runId: RunId, afterSequence: number, signal?: AbortSignal): AsyncGenerator<RunEventRecord> {
    for await (const event of streamed(this.#admin.watchRun({ runId, afterSequence }), signal))
      yield runEventFromWire(event);
  }

  async *audit(runId: RunId, afterSequence: number, signal?: AbortSignal): AsyncGenerator<AuditedFact> {
    for await (const record of streamed(this.#admin.audit({ runId, afterSequence }), signal))
      yield auditRecordFromWire(record);
  }

  /** What a private run has released and what it has left to spend, with every committed round. */
  async privacy(runId: RunId): Promise<PrivacyReport> {
    const rounds: PrivacyRound[] = [];
    for (;;) {
      const request = { runId, afterRound: rounds.at(-1)?.round ?? 0 };
      const page = privacyPageFromWire(
        await this.#call((options, done) => this.#admin.getPrivacy(request, options, done)),
      );
      if (page.mode === "none") return { mode: "none" };
      rounds.push(...page.rounds);
      if (!page.hasMoreRounds) return { mode: page.mode, account: page.account, rounds };
    }
  }

  /** `round` 0: the best round, or the last where nothing was evaluated. */
  async getExport(runId: RunId, round = 0, form = "peft"): Promise<ExportedAdapter> {
    return exportedAdapterFromWire(
      await this.#call((options, done) => this.#admin.getExport({ runId, round, form }, options, done)),
    );
  }

  /** Sends a file that a run spec names by its hash, before the run is created; returns that hash. */
  async putBlob(bytes: Uint8Array): Promise<BlobId> {
    const id = blobIdOf(bytes, nodeSha256);
    const messages = [...chunksOf(bytes)].map(({ bytes: data }, index) =>
      index === 0 ? { blob: { blobId: id, size: bytes.byteLength }, data } : { data },
    );
    await new Promise<void>((resolve, reject) => {
      const call = this.#admin.putBlob((failure: ServiceError | null) => {
        if (failure === null) resolve();
        else reject(errorFromStatus(failure));
      });
      // The library holds what the other side is not ready for; an adapter fits into memory.
      for (const message of messages) call.write(message);
      call.end();
    });
    return id;
  }

  /** A blob's bytes, checked against its id. */
  async getBlob(blobId: BlobId): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const chunk of streamed(this.#admin.getBlob({ blobId })))
      parts.push(Uint8Array.from(blobChunkFromWire(chunk).data));
    const bytes = Buffer.concat(parts);
    if (blobIdOf(bytes, nodeSha256) === blobId) return bytes;
    throw new FedLoraError("blob-hash-mismatch", `the coordinator sent other bytes than blob ${blobId}`);
  }

  /**
   * Writes a blob to a file, checked against its id; memory holds one chunk. The file appears whole or not at all.
   *
   * @throws FedLoraError `blob-hash-mismatch`, and the coordinator's
   */
  async saveBlob(blobId: BlobId, path: string, signal?: AbortSignal): Promise<void> {
    const hasher = new BlobHasher(nodeSha256);
    await writeFileAtomically(path, async (file) => {
      for await (const chunk of streamed(this.#admin.getBlob({ blobId }), signal)) {
        const { data } = blobChunkFromWire(chunk);
        hasher.update(data);
        await file.writeFile(data);
      }
      if (signal?.aborted === true) throw new FedLoraError("cancelled", "the download was cancelled");
      if (hasher.finish().id === blobId) return;
      throw new FedLoraError("blob-hash-mismatch", `the coordinator sent other bytes than blob ${blobId}`);
    });
  }

  close(): void {
    this.#clients.close();
  }

  get #admin() {
    return this.#clients.admin;
  }

  #call<Answer>(start: Unary<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      // eslint-disable-next-line no-restricted-properties -- gRPC deadlines are wall-clock times
      start({ deadline: new Date(Date.now() + this.#timeoutMs) }, (failure, answer) => {
        if (failure !== null) reject(errorFromStatus(failure));
        else if (answer === undefined) reject(new FedLoraError("internal", "the coordinator answered nothing"));
        else resolve(answer);
      });
    });
  }
}

async function* streamed<T>(call: ClientReadableStream<T>, signal?: AbortSignal): AsyncGenerator<T> {
  const cancel = (): void => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    for await (const message of call) yield message as T;
  } catch (failure) {
    if (signal?.aborted !== true) throw errorFromStatus(failure);
  } finally {
    signal?.removeEventListener("abort", cancel);
    call.cancel();
  }
}
