import { canonicalJson, codecFamilies, codecOf, compileRunSpec, elementCount, writeSafetensors } from "@fedlora/core";
import type {
  BaseModelHash,
  ClientId,
  Clock,
  ModelManifest,
  PlanInstructions,
  RoundPlan,
  RunId,
  RunSpec,
  RunSpecInput,
  UpdateMetrics,
  UpdateReceipt,
} from "@fedlora/core";
import { createHash, createPrivateKey } from "node:crypto";

import { aggregateRound } from "../aggregate/aggregate-round.js";
import type { AggregationRunner } from "../aggregate/aggregation.js";
import type { CoordinatorServiceOptions } from "../rounds/coordinator-options.js";
import { createCoordinatorService } from "../rounds/coordinator-service.js";
import type { CapabilityReport, ClientInfo, CoordinatorService, PollAnswer } from "../service.js";
import type { Storage } from "../storage/storage.js";

/** A key whose bytes are fixed, so that receipts are the same in every test run. */
export const testKey = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 7)]),
  format: "der",
  type: "pkcs8",
});

/** A model of two layers, 4 wide, with a classifier. */
export const testManifest: ModelManifest = {
  format: "fedlora-model/1",
  family: "bert",
  name: "tiny",
  hash: "ab".repeat(32) as BaseModelHash,
  numLayers: 2,
  numParameters: 100,
  modules: [0, 1].map((layer) => ({
    name: `bert.encoder.layer.${layer}.attention.self.query`,
    kind: "linear",
    dIn: 4,
    dOut: 4,
    layer,
  })),
  heads: [{ name: "classifier", kind: "linear", dIn: 4, dOut: null }],
  tensors: [],
};

export function testSpec(changes: Partial<RunSpecInput> = {}): RunSpec {
  return compileRunSpec({
    name: "spam",
    model: { hash: testManifest.hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"] },
    adapter: { rank: 2, targetModules: ["query"] },
    rounds: 2,
    cohort: { size: 2 },
    ...changes,
  });
}

export const testCapability: CapabilityReport = {
  memoryBytes: undefined,
  stepMs: undefined,
  uploadBytesPerSecond: undefined,
  engine: "test",
  engineFingerprint: "test",
  directives: ["proximal@1"],
  codecs: [...codecFamilies.keys()],
  maxRank: undefined,
  measurements: {},
};

/** Folds in this thread. */
export const inlineAggregation: AggregationRunner = {
  run: (job) => new Promise((resolve) => resolve(aggregateRound(job))),
  close: () => Promise.resolve(),
};

/** Bytes that look random and are the same in every test run. */
export function countingBytes(seed = 1): (length: number) => Uint8Array {
  let count = 0;
  return (length) => {
    count += 1;
    return createHash("sha256").update(`${seed}:${count}`).digest().subarray(0, length);
  };
}

export function openTestCoordinator(
  storage: Storage,
  options: Partial<CoordinatorServiceOptions> & { readonly clock?: Clock } = {},
): Promise<CoordinatorService> {
  return createCoordinatorService({
    storage,
    aggregation: inlineAggregation,
    coordinatorKey: testKey,
    randomBytes: countingBytes(),
    ...options,
  });
}

/** A client that calls the service directly and trains by arithmetic: its delta follows from its name and the round. */
export class TestClient {
  readonly name: string;
  readonly info: ClientInfo;
  id = "" as ClientId;
  /** What it says of itself in the polls to come. */
  capability: CapabilityReport = testCapability;
  readonly #service: () => CoordinatorService;
  readonly #storage: () => Storage;

  constructor(name: string, service: () => CoordinatorService, storage: () => Storage) {
    this.name = name;
    this.#service = service;
    this.#storage = storage;
    this.info = {
      name,
      publicKey: createHash("sha256").update(name).digest(),
      baseModelHashes: [testManifest.hash],
      capability: testCapability,
    };
  }

  async enrol(): Promise<ClientId> {
    this.id = await this.#service().clients.enrol(this.info);
    return this.id;
  }

  poll(waitMs = 0, runId?: RunId, signal: AbortSignal = new AbortController().signal): Promise<PollAnswer> {
    const request = { waitMs, runId, baseModelHashes: [testManifest.hash], capability: this.capability };
    return this.#service().clients.poll(this.id, request, signal);
  }

  /** Polls until there is a plan or an end. */
  async next(runId?: RunId): Promise<Exclude<PollAnswer, { kind: "wait" }>> {
    for (;;) {
      const answer = await this.poll(20_000, runId);
      if (answer.kind !== "wait") return answer;
    }
  }

  async nextPlan(): Promise<RoundPlan> {
    const answer = await this.next();
    if (answer.kind !== "plan") throw new Error(`${this.name}: expected a plan, got ${canonicalJson(answer)}`);
    return answer.plan;
  }

  /** Downloads, trains and delivers. */
  async work(plan: RoundPlan): Promise<UpdateReceipt> {
    const { clients } = this.#service();
    if (plan.kind === "evaluate") return clients.acceptEvaluation(this.id, plan.planId, this.evaluation());
    return this.deliver(plan, await this.update(plan));
  }

  async deliver(plan: RoundPlan, bytes: Uint8Array): Promise<UpdateReceipt> {
    const { clients } = this.#service();
    const blobId = await this.#storage().blobs.put(bytes);
    const metrics: UpdateMetrics = {
      numExamples: 10 + this.name.length,
      numSteps: 5,
      trainLoss: 0.5,
      evaluation: undefined,
      trainMs: 1000,
    };
    return clients.accept(this.id, plan.planId, { blobId, bytes: bytes.byteLength, updateNorm: 1, metrics });
  }

  /** The update's file: every value of every tensor a number between -1 and 1 of its own. */
  async update(plan: RoundPlan, salt = ""): Promise<Uint8Array> {
    const { clients } = this.#service();
    const { size } = await clients.authorizeBlob(this.id, plan.instructions);
    await clients.authorizeBlob(this.id, plan.globalAdapter);
    const json = await this.#storage().blobs.read(plan.instructions, 0, size);
    const { roles, codec } = JSON.parse(Buffer.from(json).toString("utf8")) as PlanInstructions;
    const uploaded = roles.filter((role) => role.uploaded).map(({ spec }) => spec);
    const counts = new Map(uploaded.map(({ name, shape }) => [name, elementCount(shape)]));
    const tensors = codecOf(codec).encode(uploaded, (name) =>
      Float32Array.from({ length: counts.get(name) ?? 0 }, (_, index) => {
        const seed = `${this.name}:${plan.round}:${name}:${index}:${salt}`;
        return createHash("sha256").update(seed).digest().readInt32LE(0) / 2 ** 31;
      }),
    );
    return writeSafetensors(tensors);
  }

  evaluation(): UpdateMetrics {
    const evaluation = { count: 10, lossSum: 5, confusion: [4, 1, 1, 4] };
    return { numExamples: 10, numSteps: 0, trainLoss: undefined, evaluation, trainMs: 1 };
  }

  /** Takes part until the run ends. */
  async takePart(runId?: RunId): Promise<Extract<PollAnswer, { kind: "ended" }>> {
    for (;;) {
      const answer = await this.next(runId);
      if (answer.kind === "ended") return answer;
      await this.work(answer.plan);
    }
  }
}
