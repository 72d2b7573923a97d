import {
  chunkBytes,
  FedLoraError,
  sha256,
  type BlobId,
  type ClientId,
  type PlanId,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { BlobChunk, BlobReference, EnrolInfo, PollAnswer, Transport } from "../transport/transport.js";
import type { FakeCall, FakeCoordinator } from "./fake-coordinator.js";

/** One client's way to a `FakeCoordinator`, through its faults. */
export class FakeConnection implements Transport {
  readonly #fake: FakeCoordinator;
  readonly #counts = new Map<string, number>();
  #session: string | undefined;

  constructor(fake: FakeCoordinator) {
    this.#fake = fake;
  }

  async enrol(info: EnrolInfo, signal: AbortSignal): ReturnType<Transport["enrol"]> {
    return this.#call("enrol", {}, signal, () => {
      const { clientId, session } = this.#fake.enrol(info.publicKey);
      this.#session = session;
      return { clientId, coordinatorKey: this.#fake.key.publicKey, pollWaitMs: 1000 };
    });
  }

  async poll(_request: object, signal: AbortSignal): Promise<PollAnswer> {
    return this.#call("poll", {}, signal, () => this.#fake.poll(this.#client()));
  }

  async *getBlob(id: BlobId, from: number, signal: AbortSignal): AsyncGenerator<BlobChunk> {
    const bytes = await this.#call("getBlob", { offset: from }, signal, () => {
      this.#client();
      const found = this.#fake.blobs.get(id);
      if (found === undefined) throw new FedLoraError("blob-not-found", `blob ${id} does not exist`);
      return found;
    });
    for (let offset = from; offset < bytes.byteLength; offset += chunkBytes) {
      await this.#enter("chunkDown", "before", { offset }, signal);
      const data = bytes.slice(offset, offset + chunkBytes);
      yield this.#fake.onChunkDown({ offset, data, sha256: sha256(data, nodeSha256), total: bytes.byteLength });
    }
  }

  async beginUpload(planId: PlanId, blob: BlobReference, signal: AbortSignal): ReturnType<Transport["beginUpload"]> {
    return this.#call("beginUpload", { planId }, signal, () => {
      const { uploadId, upload } = this.#fake.beginUpload(this.#client(), planId, blob.id, blob.size);
      return { uploadId, nextOffset: upload.verified, complete: upload.verified === upload.bytes.byteLength };
    });
  }

  async putChunks(uploadId: string, chunks: AsyncIterable<BlobChunk>, signal: AbortSignal): Promise<number> {
    return this.#call("putChunks", {}, signal, async () => {
      let reached = this.#fake.upload(uploadId).verified;
      for await (const chunk of chunks) reached = await this.#receive(uploadId, chunk, signal);
      return reached;
    });
  }

  async putChunk(uploadId: string, chunk: BlobChunk, signal: AbortSignal): Promise<number> {
    return this.#call("putChunk", {}, signal, () => this.#receive(uploadId, chunk, signal));
  }

  async commit(
    planId: PlanId,
    uploadId: string | undefined,
    metrics: UpdateMetrics,
    signal: AbortSignal,
  ): Promise<UpdateReceipt> {
    return this.#call("commit", { planId }, signal, () => this.#fake.commit(this.#client(), planId, uploadId, metrics));
  }

  async decline(planId: PlanId, code: string, reason: string, signal: AbortSignal): Promise<void> {
    return this.#call("decline", { planId }, signal, () => this.#fake.decline(this.#client(), planId, code, reason));
  }

  async report(progress: Parameters<Transport["report"]>[0], signal: AbortSignal): ReturnType<Transport["report"]> {
    return this.#call("report", { planId: progress.planId }, signal, () => {
      this.#fake.reports.push(progress);
      return { planOpen: this.#fake.isOpen(this.#client(), progress.planId), deadlineMs: 1000 };
    });
  }

  close(): Promise<void> {
    this.#session = undefined;
    return Promise.resolve();
  }

  async #receive(uploadId: string, chunk: BlobChunk, signal: AbortSignal): Promise<number> {
    const where = { offset: chunk.offset };
    await this.#enter("chunkUp", "before", where, signal);
    this.#client();
    this.#fake.receivedBytes += chunk.data.byteLength;
    const upload = this.#fake.upload(uploadId);
    if (chunk.offset !== upload.verified) {
      throw new FedLoraError("chunk-offset-invalid", `expected offset ${upload.verified}, got ${chunk.offset}`);
    }
    if (Buffer.compare(sha256(chunk.data, nodeSha256), chunk.sha256) !== 0) {
      throw new FedLoraError("chunk-hash-mismatch", `the chunk at ${chunk.offset} does not match its hash`);
    }
    upload.bytes.set(chunk.data, chunk.offset);
    upload.verified += chunk.data.byteLength;
    await this.#enter("chunkUp", "after", where, signal);
    return upload.verified;
  }

  #client(): ClientId {
    return this.#fake.clientOf(this.#session);
  }

  async #call<T>(
    method: FakeCall["method"],
    where: { planId?: PlanId; offset?: number },
    signal: AbortSignal,
    work: () => T | Promise<T>,
  ): Promise<T> {
    await this.#enter(method, "before", where, signal);
    const answer = await work();
    await this.#enter(method, "after", where, signal);
    return answer;
  }

  async #enter(
    method: FakeCall["method"],
    when: FakeCall["when"],
    { planId, offset }: { planId?: PlanId; offset?: number },
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const count = (this.#counts.get(method) ?? 0) + (when === "before" ? 1 : 0);
    this.#counts.set(method, count);
    await this.#fake.onCall({ method, when, count, planId, offset });
    signal.throwIfAborted();
  }
}
