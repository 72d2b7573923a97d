import {
  createEphemeralIdentity,
  FederatedClient,
  type BlobChunk,
  type ClientEvent,
  type FederatedClientOptions,
  type Transport,
} from "@fedlora/client-sdk";
import { FakeTrainer, type FakeTrainerOptions } from "@fedlora/client-sdk/testing";
import {
  blobIdOf,
  chunksOf,
  sha256,
  type BaseModelHash,
  type BlobId,
  type PlanId,
  type RoundPlan,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { noCapability } from "@fedlora/proto";
import { manifest, type RealCoordinator } from "./real-coordinator.js";

const never = new AbortController().signal;

export interface MemberOptions extends Pick<Partial<FederatedClientOptions>, "transport" | "baseModel" | "runId"> {
  /** `undefined` reads the folder's own. */
  readonly baseModelHash?: BaseModelHash | undefined;
  readonly training?: FakeTrainerOptions;
  readonly stop?: AbortSignal;
}

/** An honest client: the SDK as an application embeds it, whose training adds 1 to every value. */
export class Member {
  readonly events: ClientEvent[] = [];
  readonly trainer: FakeTrainer;
  readonly client: FederatedClient;
  /** The run's end, or what ended the client before. */
  readonly ended: Promise<unknown>;

  constructor(coordinator: RealCoordinator, name: string, options: MemberOptions = {}) {
    const { training, stop = never, ...changes } = options;
    this.trainer = new FakeTrainer(training);
    const hash = { baseModelHash: manifest.hash, ...changes }.baseModelHash;
    this.client = new FederatedClient({
      coordinator: coordinator.address,
      name,
      baseModel: changes.baseModel ?? "unused",
      stateFolder: coordinator.stateFolder(name),
      data: { name, train: () => [] },
      ...(hash === undefined ? {} : { trainer: this.trainer, baseModelHash: hash }),
      ...(changes.transport === undefined ? {} : { transport: changes.transport }),
      ...(changes.runId === undefined ? {} : { runId: changes.runId }),
      retry: { baseDelayMs: 20, maxDelayMs: 200 },
      reportIntervalMs: 100,
    });
    this.ended = this.#run(stop);
  }

  seen<Type extends ClientEvent["type"]>(type: Type): Extract<ClientEvent, { type: Type }>[] {
    return this.events.filter((event) => event.type === type) as never;
  }

  async #run(stop: AbortSignal): Promise<unknown> {
    try {
      for await (const event of this.client.run(stop)) this.events.push(event);
      return this.events.at(-1);
    } catch (error) {
      return error;
    } finally {
      await this.client.close();
    }
  }
}

/** A client that speaks the protocol and does with it what it likes. */
export class Outsider {
  readonly transport: Transport;
  readonly #identity = createEphemeralIdentity();

  private constructor(transport: Transport) {
    this.transport = transport;
  }

  static async enrolled(coordinator: RealCoordinator): Promise<Outsider> {
    const outsider = new Outsider(coordinator.connect());
    const { publicKey } = outsider.#identity;
    const info = { name: "eve", publicKey, baseModelHashes: [manifest.hash], capability };
    const sign = (message: Uint8Array) => outsider.#identity.sign(message);
    await outsider.transport.enrol({ ...info, sign }, never);
    return outsider;
  }

  async plan(): Promise<RoundPlan> {
    for (;;) {
      const request = { waitMs: 5000, runId: undefined, baseModelHashes: [manifest.hash], capability };
      const answer = await this.transport.poll(request, never);
      if (answer.kind === "plan") return answer.plan;
      if (answer.kind === "ended") throw new Error("the run ended before there was a plan");
    }
  }

  async begin(planId: PlanId, bytes: Uint8Array): Promise<{ uploadId: string; nextOffset: number }> {
    return this.transport.beginUpload(planId, { id: blobIdOf(bytes, nodeSha256), size: bytes.byteLength }, never);
  }

  putChunk(uploadId: string, chunk: BlobChunk): Promise<number> {
    return this.transport.putChunk(uploadId, chunk, never);
  }

  /** The whole way: begins where the coordinator says, sends the rest, commits. */
  async upload(planId: PlanId, bytes: Uint8Array): Promise<UpdateReceipt> {
    const { uploadId, nextOffset } = await this.begin(planId, bytes);
    await this.transport.putChunks(uploadId, stream(chunksFrom(bytes, nextOffset)), never);
    return this.transport.commit(planId, uploadId, metrics, never);
  }

  decline(planId: PlanId, code: string): Promise<void> {
    return this.transport.decline(planId, code, "", never);
  }

  async download(id: BlobId): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const { data } of this.transport.getBlob(id, 0, never)) chunks.push(data.slice());
    return Buffer.concat(chunks);
  }
}

export const chunksFrom = (bytes: Uint8Array, from = 0): BlobChunk[] =>
  [...chunksOf(bytes)]
    .map(({ offset, bytes: data }) => ({ offset, data, sha256: sha256(data, nodeSha256), total: bytes.byteLength }))
    .filter(({ offset }) => offset >= from);

async function* stream(chunks: readonly BlobChunk[]): AsyncGenerator<BlobChunk> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

const metrics: UpdateMetrics = { numExamples: 10, numSteps: 1, trainLoss: 0.5, evaluation: undefined, trainMs: 1 };
const capability = { ...noCapability, engine: "none", codecs: ["f32"] };
