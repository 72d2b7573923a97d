import type { BlobChunk, BlobReference, EnrolInfo, PollAnswer, Transport } from "@fedlora/client-sdk";
import {
  chunkBytes,
  sha256,
  type BaseModelHash,
  type BlobId,
  type ClientId,
  type PlanId,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { BlobStore, ClientService, Intake } from "@fedlora/coordinator";
import { commitToWire, type BlobSizes, type CommitQuestion } from "@fedlora/proto";

export interface InProcessCoordinator {
  readonly clients: ClientService;
  readonly intake: Intake;
  readonly blobs: BlobStore;
  readonly publicKey: Uint8Array;
  /** Of chunks that were downloaded lately, by blob and offset. */
  readonly digests: Map<string, Uint8Array>;
}

const maxDigests = 256;

/** A poll that is answered when there is something to say. */
const pollWaitMs = 30 * 24 * 3_600_000;

/**
 * The v1 protocol without a network: calls what the gRPC handlers call, so updates go through the same intake, are validated
 * and metered alike. Nothing is serialised or signed, since nobody is in between.
 */
export class InProcessTransport implements Transport {
  readonly #coordinator: InProcessCoordinator;
  #clientId = "" as ClientId;
  #planId: PlanId | undefined;

  constructor(coordinator: InProcessCoordinator) {
    this.#coordinator = coordinator;
  }

  async enrol({ name, publicKey, baseModelHashes, capability }: EnrolInfo): ReturnType<Transport["enrol"]> {
    const { clients, publicKey: coordinatorKey } = this.#coordinator;
    const hashes = baseModelHashes as readonly BaseModelHash[];
    this.#clientId = await clients.enrol({ name, publicKey, baseModelHashes: hashes, capability });
    return { clientId: this.#clientId, coordinatorKey, pollWaitMs };
  }

  async poll(request: Parameters<Transport["poll"]>[0], signal: AbortSignal): Promise<PollAnswer> {
    const { clients, blobs } = this.#coordinator;
    const hashes = request.baseModelHashes as readonly BaseModelHash[];
    const answer = await clients.poll(this.#clientId, { ...request, baseModelHashes: hashes }, signal);
    if (answer.kind !== "plan") return answer;
    const { plan } = answer;
    this.#planId = plan.planId;
    const deltas = (plan.baseDeltas ?? []).map(({ blob }) => blob);
    const ids = [plan.instructions, plan.globalAdapter, ...plan.frozen, ...deltas];
    const refs: Record<BlobId, number> = {};
    for (const id of ids) refs[id] = await blobs.size(id);
    return { kind: "plan", plan, refs: refs satisfies BlobSizes };
  }

  async *getBlob(id: BlobId, from: number, signal: AbortSignal): AsyncGenerator<BlobChunk> {
    const { clients, blobs } = this.#coordinator;
    const { size } = await clients.authorizeBlob(this.#clientId, id);
    for (let offset = from; offset < size; offset += chunkBytes) {
      signal.throwIfAborted();
      const data = await blobs.read(id, offset, Math.min(chunkBytes, size - offset));
      if (this.#planId !== undefined) clients.countBytes(this.#planId, "down", data.byteLength);
      yield { offset, data, sha256: this.#digestOf(id, offset, data), total: size };
    }
  }

  /** What a cohort downloads is hashed for the first of it. */
  #digestOf(id: BlobId, offset: number, data: Uint8Array): Uint8Array {
    const { digests } = this.#coordinator;
    const key = `${id}:${offset}`;
    const digest = digests.get(key) ?? sha256(data, nodeSha256);
    digests.set(key, digest);
    const [oldest] = digests.keys();
    if (digests.size > maxDigests && oldest !== undefined) digests.delete(oldest);
    return digest;
  }

  beginUpload(planId: PlanId, blob: BlobReference): ReturnType<Transport["beginUpload"]> {
    return this.#coordinator.intake.begin(this.#clientId, planId, blob);
  }

  async putChunks(uploadId: string, chunks: AsyncIterable<BlobChunk>): Promise<number> {
    let reached = 0;
    for await (const chunk of chunks) reached = await this.putChunk(uploadId, chunk);
    return reached;
  }

  putChunk(uploadId: string, { offset, data, sha256: digest }: BlobChunk): Promise<number> {
    return this.#coordinator.intake.putChunk(this.#clientId, { uploadId, offset, data, sha256: digest });
  }

  commit(planId: PlanId, uploadId: string | undefined, metrics: UpdateMetrics): Promise<UpdateReceipt> {
    const { metrics: counts } = commitToWire(planId, uploadId, metrics);
    return this.#coordinator.intake.commit(this.#clientId, {
      planId,
      uploadId,
      // Intake checks them as they come from the wire; in memory both directions have one form.
      metrics: counts as CommitQuestion["metrics"],
    });
  }

  decline(planId: PlanId, code: string, reason: string): Promise<void> {
    return this.#coordinator.clients.decline(this.#clientId, planId, code, reason);
  }

  report({ planId, ...progress }: Parameters<Transport["report"]>[0]): ReturnType<Transport["report"]> {
    return this.#coordinator.clients.report(this.#clientId, planId, progress);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
