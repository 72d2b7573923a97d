import { FedLoraError, type BlobId, type PlanId, type UpdateMetrics, type UpdateReceipt } from "@fedlora/core";
import {
  blobChunkFromWire,
  checkPresent,
  commitToWire,
  createClients,
  declineToWire,
  enrolAnswerFromWire,
  enrolmentToWire,
  enrolProofBytes,
  nextOffsetFromWire,
  pollAnswerFromWire,
  pollToWire,
  receiptFromWire,
  reportAnswerFromWire,
  reportToWire,
  sessionMetadata,
  uploadChunkToWire,
  uploadStartToWire,
  uploadStateFromWire,
  type Clients,
  type CoordinatorClient,
} from "@fedlora/proto";
import { credentials, Metadata } from "@grpc/grpc-js";
import { randomBytes } from "node:crypto";
import { checkEndpoint } from "./endpoint.js";
import { callUnary, readStream, writeStream } from "./grpc-calls.js";
import type { BlobChunk, BlobReference, EnrolInfo, PollAnswer, Transport } from "./transport.js";

export interface GrpcTransportOptions {
  /** Plaintext to another host than loopback; default false. */
  readonly insecure?: boolean;
  /** Deadline of a short call, and longest silence within a stream; default 30 s. */
  readonly callTimeoutMs?: number;
}

/** The coordinator reads the whole update back, checks it and makes it durable before it answers. */
const commitTimeoutFactor = 4;

/**
 * The v1 protocol over gRPC. Connects on the first call and again after every interruption.
 * Throws `config-invalid` for a malformed address, `insecure-refused` for plaintext beyond loopback.
 */
export function createGrpcTransport(coordinator: string, options: GrpcTransportOptions = {}): Transport {
  const address = checkEndpoint(coordinator, options.insecure ?? false);
  return new GrpcTransport(createClients(address, credentials.createInsecure()), options.callTimeoutMs ?? 30_000);
}

class GrpcTransport implements Transport {
  readonly #clients: Clients;
  readonly #coordinator: CoordinatorClient;
  readonly #timeoutMs: number;
  #session: { readonly metadata: Metadata; readonly coordinatorKey: Uint8Array } | undefined;

  constructor(clients: Clients, timeoutMs: number) {
    this.#clients = clients;
    this.#coordinator = clients.coordinator;
    this.#timeoutMs = timeoutMs;
  }

  async enrol(info: EnrolInfo, signal: AbortSignal): ReturnType<Transport["enrol"]> {
    const nonce = randomBytes(32);
    const proof = await info.sign(enrolProofBytes(info.publicKey, nonce));
    const request = enrolmentToWire(info, nonce, proof);
    const answer = await callUnary(
      (options, done) => this.#coordinator.enrol(request, new Metadata(), options, done),
      enrolAnswerFromWire,
      this.#timeoutMs,
      signal,
    );
    this.#session = { metadata: sessionMetadata(answer.session), coordinatorKey: answer.coordinatorKey };
    return { clientId: answer.clientId, coordinatorKey: answer.coordinatorKey, pollWaitMs: answer.pollWaitMs };
  }

  async poll(request: Parameters<Transport["poll"]>[0], signal: AbortSignal): Promise<PollAnswer> {
    const { metadata, coordinatorKey } = this.#enrolled();
    const wire = pollToWire(request);
    return callUnary(
      (options, done) => this.#coordinator.poll(wire, metadata, options, done),
      (answer: Parameters<typeof pollAnswerFromWire>[0]) => signed(() => pollAnswerFromWire(answer, coordinatorKey)),
      request.waitMs + this.#timeoutMs,
      signal,
    );
  }

  getBlob(id: BlobId, offset: number, signal: AbortSignal): AsyncIterable<BlobChunk> {
    return readStream(
      (options) => this.#coordinator.getBlob({ blobId: id, offset, length: 0 }, this.#enrolled().metadata, options),
      blobChunkFromWire,
      this.#timeoutMs,
      signal,
    );
  }

  async beginUpload(planId: PlanId, blob: BlobReference, signal: AbortSignal): ReturnType<Transport["beginUpload"]> {
    const { metadata } = this.#enrolled();
    const request = uploadStartToWire({ planId, blob });
    return callUnary(
      (options, done) => this.#coordinator.beginUpload(request, metadata, options, done),
      uploadStateFromWire,
      this.#timeoutMs,
      signal,
    );
  }

  async putChunks(uploadId: string, chunks: AsyncIterable<BlobChunk>, signal: AbortSignal): Promise<number> {
    const { metadata } = this.#enrolled();
    return writeStream(
      (options, done) => this.#coordinator.putChunks(metadata, options, done),
      chunks,
      (chunk) => uploadChunkToWire({ ...chunk, uploadId }),
      nextOffsetFromWire,
      this.#timeoutMs,
      signal,
    );
  }

  async putChunk(uploadId: string, chunk: BlobChunk, signal: AbortSignal): Promise<number> {
    const { metadata } = this.#enrolled();
    const request = uploadChunkToWire({ ...chunk, uploadId });
    return callUnary(
      (options, done) => this.#coordinator.putChunk(request, metadata, options, done),
      nextOffsetFromWire,
      this.#timeoutMs,
      signal,
    );
  }

  async commit(
    planId: PlanId,
    uploadId: string | undefined,
    metrics: UpdateMetrics,
    signal: AbortSignal,
  ): Promise<UpdateReceipt> {
    const { metadata, coordinatorKey } = this.#enrolled();
    const request = commitToWire(planId, uploadId, metrics);
    return callUnary(
      (options, done) => this.#coordinator.commit(request, metadata, options, done),
      ({ receipt }: { readonly receipt: Parameters<typeof receiptFromWire>[0] | null }) =>
        signed(() => receiptFromWire(checkPresent(receipt, "receipt"), coordinatorKey)),
      this.#timeoutMs * commitTimeoutFactor,
      signal,
    );
  }

  async decline(planId: PlanId, code: string, reason: string, signal: AbortSignal): Promise<void> {
    const { metadata } = this.#enrolled();
    const request = declineToWire({ planId, code, reason });
    await callUnary(
      (options, done) => this.#coordinator.decline(request, metadata, options, done),
      () => undefined,
      this.#timeoutMs,
      signal,
    );
  }

  async report(progress: Parameters<Transport["report"]>[0], signal: AbortSignal): ReturnType<Transport["report"]> {
    const { metadata } = this.#enrolled();
    const request = reportToWire(progress);
    return callUnary(
      (options, done) => this.#coordinator.report(request, metadata, options, done),
      reportAnswerFromWire,
      this.#timeoutMs,
      signal,
    );
  }

  close(): Promise<void> {
    this.#clients.close();
    return Promise.resolve();
  }

  #enrolled(): { readonly metadata: Metadata; readonly coordinatorKey: Uint8Array } {
    if (this.#session === undefined) throw new FedLoraError("unauthenticated", "this client has not enrolled yet");
    return this.#session;
  }
}

/** To our caller, `unauthenticated` means "enrol again"; a wrong signature is another matter. */
function signed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FedLoraError) || error.code !== "unauthenticated") throw error;
    throw new FedLoraError("coordinator-untrusted", error.message, { cause: error });
  }
}
