import {
  blobIdOfChunks,
  FedLoraError,
  fromFloat32,
  layoutOf,
  noopLogger,
  systemClock,
  writeSafetensors,
  type BlobId,
  type ClientId,
  type PlanId,
  type TensorLayout,
  type UpdateReceipt,
} from "@fedlora/core";
import {
  commitToWire,
  createClients,
  enrolAnswerFromWire,
  enrolmentToWire,
  enrolProofBytes,
  errorFromStatus,
  limits,
  nextOffsetFromWire,
  noCapability,
  receiptFromWire,
  sessionMetadata,
  uploadChunkToWire,
  uploadStartToWire,
  uploadStateFromWire,
  type Clients,
  type UploadState,
} from "@fedlora/proto";
import { credentials, type Metadata } from "@grpc/grpc-js";
import { createHash, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import { createSigner } from "../../config/signer.js";
import { openMemoryStorage } from "../../storage/memory-storage.js";
import type { BlobStore } from "../../storage/storage.js";
import { startTransport, type Transport, type TransportOptions } from "../transport.js";
import { FakeService } from "./fake-service.js";

export interface Served {
  readonly transport: Transport;
  readonly service: FakeService;
  readonly blobs: BlobStore;
  readonly key: KeyObject;
  readonly address: string;
}

/** The real server on a free loopback port, with rounds that do as told. */
export async function serve(
  options: Partial<TransportOptions> & { blobs?: BlobStore; service?: FakeService; coordinatorKey?: KeyObject } = {},
): Promise<Served> {
  const key = options.coordinatorKey ?? generateKeyPairSync("ed25519").privateKey;
  const service = options.service ?? new FakeService(createSigner(key));
  const blobs = options.blobs ?? openMemoryStorage().blobs;
  const transport = await startTransport({
    host: "127.0.0.1",
    port: 0,
    insecure: false,
    logger: noopLogger,
    clock: systemClock,
    pollWaitMs: 1000,
    ...options,
    service,
    blobs,
    coordinatorKey: key,
  });
  return { transport, service, blobs, key, address: `127.0.0.1:${transport.port}` };
}

/** A client in a few lines: enough protocol to test the server with, no resuming of its own. */
export class TestClient {
  readonly clients: Clients;
  clientId = "" as ClientId;
  coordinatorKey: Uint8Array = new Uint8Array();
  metadata: Metadata = sessionMetadata(new Uint8Array(1));
  readonly #key: KeyObject;

  constructor(address: string, key: KeyObject = generateKeyPairSync("ed25519").privateKey) {
    this.clients = createClients(address, credentials.createInsecure());
    this.#key = key;
  }

  static async enrolled(address: string, key?: KeyObject): Promise<TestClient> {
    const client = new TestClient(address, key);
    await client.enrol();
    return client;
  }

  async enrol(): Promise<void> {
    const signer = createSigner(this.#key);
    const nonce = Buffer.alloc(16, 1);
    const proof = signer.sign(enrolProofBytes(signer.publicKey, nonce));
    const request = enrolmentToWire(
      { name: "test", publicKey: signer.publicKey, baseModelHashes: [], capability: noCapability },
      nonce,
      proof,
    );
    const answer = enrolAnswerFromWire(await this.call((done) => this.clients.coordinator.enrol(request, done)));
    this.clientId = answer.clientId;
    this.coordinatorKey = answer.coordinatorKey;
    this.metadata = sessionMetadata(answer.session);
  }

  /** A unary call as a promise, its failure as a FedLoraError. */
  call<T>(start: (done: (error: Error | null, answer?: T) => void) => unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      start((error, answer) => {
        if (error) reject(errorFromStatus(error));
        else resolve(answer!);
      });
    });
  }

  async begin(planId: PlanId, blob: { id: BlobId; size: number }): Promise<UploadState> {
    const request = uploadStartToWire({ planId, blob });
    const { coordinator } = this.clients;
    return uploadStateFromWire(await this.call((done) => coordinator.beginUpload(request, this.metadata, done)));
  }

  async putChunk(uploadId: string, file: Uint8Array, offset: number, changes: object = {}): Promise<number> {
    const request = { ...chunkOf(uploadId, file, offset), ...changes };
    const { coordinator } = this.clients;
    return nextOffsetFromWire(await this.call((done) => coordinator.putChunk(request, this.metadata, done)));
  }

  /** Streams the chunks from `from` up to `to`, waiting where the other side is slower. */
  async putChunks(uploadId: string, file: Uint8Array, from = 0, to = file.byteLength): Promise<number> {
    return nextOffsetFromWire(
      await this.call((done) => {
        const call = this.clients.coordinator.putChunks(this.metadata, done);
        const send = async (): Promise<void> => {
          for (let offset = from; offset < to; offset += limits.chunkBytes) {
            if (!call.write(chunkOf(uploadId, file, offset))) {
              await new Promise<void>((resolve) => {
                call.once("drain", () => resolve());
                call.once("close", () => resolve());
              });
            }
          }
          call.end();
        };
        call.on("error", () => undefined);
        void send();
      }),
    );
  }

  async commit(planId: PlanId, uploadId: string | undefined, metrics: object = {}): Promise<UpdateReceipt> {
    const request = commitToWire(planId, uploadId, {
      numExamples: 10,
      numSteps: 2,
      trainLoss: 0.5,
      evaluation: undefined,
      trainMs: 1,
      ...metrics,
    });
    const { receipt } = await this.call<{ receipt: Parameters<typeof receiptFromWire>[0] }>((done) =>
      this.clients.coordinator.commit(request, this.metadata, done as never),
    );
    return receiptFromWire(receipt, this.coordinatorKey);
  }

  /** Begin, stream, commit. */
  async upload(planId: PlanId, file: Uint8Array): Promise<UpdateReceipt> {
    const { uploadId, nextOffset, complete } = await this.begin(planId, refOf(file));
    if (!complete) await this.putChunks(uploadId, file, nextOffset);
    return this.commit(planId, uploadId);
  }

  async getBlob(blobId: string, offset = 0, length = 0): Promise<Buffer> {
    const pieces: Buffer[] = [];
    try {
      for await (const chunk of this.clients.coordinator.getBlob({ blobId, offset, length }, this.metadata)) {
        pieces.push((chunk as { data: Buffer }).data);
      }
    } catch (error) {
      throw errorFromStatus(error);
    }
    return Buffer.concat(pieces);
  }

  close(): void {
    this.clients.close();
  }
}

export function chunkOf(uploadId: string, file: Uint8Array, offset: number): ReturnType<typeof uploadChunkToWire> {
  const data = file.subarray(offset, offset + limits.chunkBytes);
  return uploadChunkToWire({ uploadId, offset, data, sha256: hash("sha256", data, "buffer") });
}

export function refOf(file: Uint8Array): { id: BlobId; size: number } {
  const digests: Uint8Array[] = [];
  for (let offset = 0; offset < file.byteLength; offset += limits.chunkBytes) {
    digests.push(hash("sha256", file.subarray(offset, offset + limits.chunkBytes), "buffer"));
  }
  return { id: blobIdOfChunks(digests, () => createHash("sha256")), size: file.byteLength };
}

/** An update of two matrices, about 1 MiB by default, and its layout. */
export function sampleUpdate(
  rows = 1024,
  fill: (index: number) => number = (index) => Math.sin(index),
): { file: Uint8Array; layout: TensorLayout; values: Float32Array } {
  const values = new Float32Array(rows * 256);
  for (let index = 0; index < values.length; index += 1) values[index] = fill(index);
  const half = values.length / 2;
  const state = new Map([
    ["layer.lora_A.weight", fromFloat32(values.subarray(0, half), [rows / 2, 256])],
    ["layer.lora_B.weight", fromFloat32(values.subarray(half), [rows / 2, 256])],
  ]);
  return { file: writeSafetensors(state), layout: layoutOf(state), values };
}

/** The code that a promise fails with. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no failure",
    (error: unknown) => (error instanceof FedLoraError ? error.code : String(error)),
  );
}
