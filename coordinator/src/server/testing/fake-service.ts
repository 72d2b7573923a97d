import {
  FedLoraError,
  type BlobId,
  type ClientId,
  type ErrorCode,
  type PlanId,
  type RoundPlan,
  type RunId,
  type TaskSpec,
  type TensorLayout,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { receiptBytes, type Signer } from "@fedlora/proto";
import { createHash } from "node:crypto";
import type {
  AdminService,
  ClientInfo,
  ClientService,
  CoordinatorService,
  PollAnswer,
  UploadTicket,
} from "../../service.js";

interface FakePlan {
  readonly clientId: ClientId;
  readonly layout: TensorLayout;
  readonly maxBytes: number;
  readonly maxNorm: number | undefined;
  isOpen: boolean;
  accepted: UpdateReceipt | undefined;
}

/** Accepts what it is told to, remembers what it was told: the rounds are somebody else's tests. */
export class FakeService implements CoordinatorService {
  readonly task: TaskSpec = { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 128 };
  readonly plans = new Map<PlanId, FakePlan>();
  readonly readable = new Map<BlobId, number>();
  readonly refused: { planId: PlanId; code: ErrorCode }[] = [];
  readonly accepted: { planId: PlanId; blobId: BlobId; updateNorm: number; metrics: UpdateMetrics }[] = [];
  readonly declined: { planId: PlanId; code: string }[] = [];
  readonly bytes = { up: 0, down: 0 };
  readonly enrolled: ClientInfo[] = [];
  nextPoll: PollAnswer = { kind: "wait", retryAfterMs: 100, reason: "no-run" };
  isDrained = false;
  readonly #signer: Signer;
  #sequence = 0;

  constructor(signer: Signer) {
    this.#signer = signer;
  }

  offer(clientId: ClientId, planId: string, layout: TensorLayout, maxBytes = 1e9, maxNorm?: number): PlanId {
    const id = planId as PlanId;
    this.plans.set(id, { clientId, layout, maxBytes, maxNorm, isOpen: true, accepted: undefined });
    return id;
  }

  readonly clients: ClientService = {
    enrol: (client) => {
      this.enrolled.push(client);
      const digest = createHash("sha256").update(client.publicKey).digest("hex");
      return Promise.resolve(`c-${digest.slice(0, 16)}` as ClientId);
    },
    poll: () => Promise.resolve(this.nextPoll),
    authorizeBlob: async (_clientId, id) => {
      const size = this.readable.get(id);
      if (size === undefined) throw new FedLoraError("blob-not-found", `blob ${id} is not yours to read`);
      return Promise.resolve({ size });
    },
    ticket: async (clientId, planId) => Promise.resolve(this.#ticket(clientId, planId)),
    accept: async (clientId, planId, update) => {
      this.#ticket(clientId, planId);
      this.accepted.push({ planId, ...update });
      return Promise.resolve(this.#sign(clientId, planId, update.blobId));
    },
    acceptEvaluation: async (clientId, planId) => Promise.resolve(this.#sign(clientId, planId, "")),
    refuse: (_clientId, planId, code) => {
      this.refused.push({ planId, code });
      return Promise.resolve();
    },
    decline: (_clientId, planId, code) => {
      this.declined.push({ planId, code });
      return Promise.resolve();
    },
    report: () => Promise.resolve({ planOpen: true, deadlineMs: 60_000 }),
    countBytes: (_planId, direction, bytes) => {
      this.bytes[direction] += bytes;
    },
  };

  readonly admin = {
    listRuns: () => Promise.resolve([]),
  } as unknown as AdminService;

  drain(): Promise<void> {
    this.isDrained = true;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #ticket(clientId: ClientId, planId: PlanId): UploadTicket {
    const plan = this.plans.get(planId);
    if (plan === undefined) throw new FedLoraError("plan-unknown", `no plan ${planId}`);
    if (plan.clientId !== clientId) throw new FedLoraError("plan-not-yours", `plan ${planId} is another client's`);
    if (!plan.isOpen) throw new FedLoraError("round-closed", "round 1 is closed; round 2 is open");
    return {
      runId: "r" as RunId,
      round: 1,
      planId,
      task: this.task,
      values: plan.layout,
      codec: "f32",
      frozen: [],
      ...plan,
    };
  }

  #sign(clientId: ClientId, planId: PlanId, blobId: BlobId | ""): UpdateReceipt {
    this.#sequence += 1;
    const facts = { planId, runId: "r" as RunId, round: 1, clientId, blobId, sequence: this.#sequence };
    const receipt = { ...facts, signature: this.#signer.sign(receiptBytes(facts)) };
    const plan = this.plans.get(planId);
    if (plan) plan.accepted = receipt;
    return receipt;
  }
}

/** A plan whose fields do not matter to a test. */
export function fakePlan(changes: Partial<RoundPlan>): RoundPlan {
  return {
    planId: "p-1" as PlanId,
    runId: "r" as RunId,
    round: 1,
    kind: "train",
    method: { name: "fedavg", version: 1 },
    baseModelHash: "0".repeat(64) as RoundPlan["baseModelHash"],
    baseVersion: 0,
    instructions: "1".repeat(64) as BlobId,
    globalAdapter: "2".repeat(64) as BlobId,
    frozen: [],
    deadlineMs: 60_000,
    downloadBytes: 0,
    uploadBytes: 0,
    ...changes,
  };
}
