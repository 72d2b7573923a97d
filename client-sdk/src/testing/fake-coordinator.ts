import {
  blobIdOf,
  canonicalBytes,
  codecOf,
  FedLoraError,
  firstNonFinite,
  fromFloat32,
  layoutsEqual,
  layoutOf,
  openEncoded,
  readSafetensors,
  sha256Hex,
  toFloat32,
  writeSafetensors,
  type BaseModelHash,
  type BlobId,
  type ClientId,
  type PlanId,
  type PlanInstructions,
  type RoundPlan,
  type RunId,
  type StateDict,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { receiptBytes } from "@fedlora/proto";
import { createEphemeralIdentity, type Identity } from "../identity.js";
import type { BlobChunk, PollAnswer, Transport } from "../transport/transport.js";

export interface FakeCoordinatorOptions {
  readonly baseModelHash: BaseModelHash;
  readonly instructions: PlanInstructions;
  /** Round 0's adapter: the tensors whose role says `downloaded`. */
  readonly initial: StateDict;
  readonly frozen?: readonly StateDict[];
  /** Default 1. */
  readonly rounds?: number;
  /** Updates that close a round; default 1. */
  readonly cohort?: number;
  /** Ask every client for an evaluation after each round; default false. */
  readonly evaluate?: boolean;
  readonly runId?: string;
  readonly method?: string;
  /** Changes to the base weights: the first leads to version 1, and so on. Default: none. */
  readonly baseDeltas?: readonly StateDict[];
  /** Base version of a round, and the one that its plans' chain begins at; default: the round before, from 0. */
  readonly baseVersions?: (round: number) => { readonly from: number; readonly to: number };
  /** What the envelopes of plans say differently. */
  readonly envelope?: Partial<RoundPlan>;
}

/** One call of a client, before it takes effect or after it did and before its answer leaves. */
export interface FakeCall {
  readonly method: keyof Transport | "chunkUp" | "chunkDown";
  readonly when: "before" | "after";
  /** How often this method was called, this time included: from 1. */
  readonly count: number;
  readonly planId: PlanId | undefined;
  readonly offset: number | undefined;
}

interface IssuedPlan {
  readonly plan: RoundPlan;
  readonly clientId: ClientId;
  open: boolean;
  receipt: UpdateReceipt | undefined;
}

interface Upload {
  readonly planId: PlanId;
  readonly id: BlobId;
  readonly bytes: Uint8Array;
  verified: number;
}

/**
 * A coordinator in memory with the protocol's semantics and none of its machinery: one run, plain averaging. Clients
 * reach it through a `FakeConnection` each. Faults are
 * put in by `onCall` (throw from it: a failure before the call took effect, or a lost answer after it) and `onChunkDown`.
 */
export class FakeCoordinator {
  readonly options: FakeCoordinatorOptions;
  readonly runId: RunId;
  readonly key: Identity = createEphemeralIdentity();
  readonly blobs = new Map<BlobId, Uint8Array>();
  readonly accepted: {
    readonly clientId: ClientId;
    readonly planId: PlanId;
    readonly update: StateDict | undefined;
    readonly metrics: UpdateMetrics;
  }[] = [];
  readonly declined: { readonly planId: PlanId; readonly code: string; readonly reason: string }[] = [];
  readonly reports: Parameters<Transport["report"]>[0][] = [];
  /** Bytes of update chunks received, wrong and repeated ones included. */
  receivedBytes = 0;
  onCall: (call: FakeCall) => void | Promise<void> = () => undefined;
  onChunkDown: (chunk: BlobChunk) => BlobChunk = (chunk) => chunk;
  global: StateDict;
  round = 1;
  readonly #sessions = new Map<string, ClientId>();
  readonly #plans = new Map<PlanId, IssuedPlan>();
  readonly #uploads = new Map<string, Upload>();
  #sequence = 0;
  #evaluating = false;

  constructor(options: FakeCoordinatorOptions) {
    this.options = options;
    this.runId = (options.runId ?? "run-1") as RunId;
    this.global = options.initial;
  }

  /** As a process that is killed and started again: sessions are gone, what was acknowledged is not. */
  restart(): void {
    this.#sessions.clear();
  }

  /** Closes all open plans, as at a deadline. */
  closeRound(): void {
    for (const issued of this.#plans.values()) issued.open = false;
    this.#nextRound([]);
  }

  get ended(): boolean {
    return this.round > (this.options.rounds ?? 1);
  }

  enrol(publicKey: Uint8Array): { clientId: ClientId; session: string } {
    const clientId = `client-${sha256Hex(publicKey).slice(0, 16)}` as ClientId;
    const session = `${clientId}/${this.#sessions.size}/${++this.#sequence}`;
    this.#sessions.set(session, clientId);
    return { clientId, session };
  }

  clientOf(session: string | undefined): ClientId {
    const clientId = session === undefined ? undefined : this.#sessions.get(session);
    if (clientId === undefined) throw new FedLoraError("unauthenticated", "the session is unknown; enrol again");
    return clientId;
  }

  poll(clientId: ClientId): PollAnswer {
    const open = [...this.#plans.values()].find((issued) => issued.clientId === clientId && issued.open);
    if (open !== undefined) return this.#planAnswer(open.plan);
    if (this.ended) {
      return {
        kind: "ended",
        runId: this.runId,
        state: "completed",
        globalAdapter: this.#put(writeSafetensors(this.global)),
        instructions: this.#put(canonicalBytes(this.options.instructions)),
        ...(this.options.baseDeltas && { baseDeltas: this.#baseDeltas(0, this.#versions().to) }),
      };
    }
    const kind = this.#evaluating ? "evaluate" : "train";
    const planId = `plan-${this.round}-${kind}-${clientId}` as PlanId;
    if (this.#plans.has(planId)) return { kind: "wait", retryAfterMs: 10, reason: "between-rounds" };
    const plan = this.#issue(planId, kind);
    this.#plans.set(planId, { plan, clientId, open: true, receipt: undefined });
    return this.#planAnswer(plan);
  }

  beginUpload(clientId: ClientId, planId: PlanId, id: BlobId, size: number): { uploadId: string; upload: Upload } {
    const issued = this.#planOf(clientId, planId);
    const uploadId = `${planId}/${id}`;
    const upload = this.#uploads.get(uploadId) ?? { planId, id, bytes: new Uint8Array(size), verified: 0 };
    if (issued.receipt === undefined && !issued.open) throw new FedLoraError("round-closed", "the round is closed");
    if (issued.receipt !== undefined && issued.receipt.blobId !== id) {
      throw new FedLoraError("update-conflict", "another update was accepted for this plan");
    }
    this.#uploads.set(uploadId, upload);
    return { uploadId, upload };
  }

  upload(uploadId: string): Upload {
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined) throw new FedLoraError("upload-not-found", `upload ${uploadId} is unknown`);
    return upload;
  }

  commit(clientId: ClientId, planId: PlanId, uploadId: string | undefined, metrics: UpdateMetrics): UpdateReceipt {
    const issued = this.#planOf(clientId, planId);
    const upload = uploadId === undefined ? undefined : this.upload(uploadId);
    if (issued.receipt !== undefined) return issued.receipt;
    if (!issued.open) throw new FedLoraError("round-closed", "the round is closed");
    const update = upload === undefined ? undefined : this.#validated(upload);
    const facts = {
      planId,
      runId: this.runId,
      round: issued.plan.round,
      clientId,
      blobId: upload?.id ?? ("" as const),
      sequence: ++this.#sequence,
    };
    issued.receipt = { ...facts, signature: this.key.sign(receiptBytes(facts)) };
    issued.open = false;
    this.accepted.push({ clientId, planId, update, metrics });
    this.#closeWhenComplete();
    return issued.receipt;
  }

  decline(clientId: ClientId, planId: PlanId, code: string, reason: string): void {
    this.#planOf(clientId, planId).open = false;
    this.declined.push({ planId, code, reason });
  }

  isOpen(clientId: ClientId, planId: PlanId): boolean {
    return this.#planOf(clientId, planId).open;
  }

  #planOf(clientId: ClientId, planId: PlanId): IssuedPlan {
    const issued = this.#plans.get(planId);
    if (issued === undefined) throw new FedLoraError("plan-unknown", `plan ${planId} is unknown`);
    if (issued.clientId !== clientId) throw new FedLoraError("plan-not-yours", `plan ${planId} is another client's`);
    return issued;
  }

  #issue(planId: PlanId, kind: "train" | "evaluate"): RoundPlan {
    const { baseModelHash, instructions, frozen = [], method = "fedavg" } = this.options;
    const global = this.#put(writeSafetensors(this.#download()));
    const words = this.#put(canonicalBytes(instructions));
    const shared = frozen.map((state) => this.#put(writeSafetensors(state)));
    const { from, to } = this.#versions();
    const links = this.#baseDeltas(from, to);
    const baseDeltas = links.map(({ blob, ...link }) => ({ ...link, blob: blob.id }));
    const sizes = [global, words, ...shared, ...links.map(({ blob }) => blob)].map(({ size }) => size);
    return {
      planId,
      runId: this.runId,
      round: this.round,
      kind,
      method: { name: method, version: 1 },
      baseModelHash,
      baseVersion: to,
      baseDeltas,
      instructions: words.id,
      globalAdapter: global.id,
      frozen: shared.map(({ id }) => id),
      deadlineMs: 600_000,
      downloadBytes: sizes.reduce((a, b) => a + b, 0),
      uploadBytes: kind === "train" ? 2 ** 26 : 0,
      ...this.options.envelope,
    };
  }

  /** From and to which base version the plans of this round lead. */
  #versions(): { readonly from: number; readonly to: number } {
    const { baseDeltas = [], baseVersions } = this.options;
    return baseVersions?.(this.round) ?? { from: 0, to: Math.min(this.round - 1, baseDeltas.length) };
  }

  #baseDeltas(from: number, to: number) {
    return (this.options.baseDeltas ?? []).slice(from, to).map((tensors, index) => ({
      fromVersion: from + index,
      toVersion: from + index + 1,
      blob: this.#put(writeSafetensors(tensors)),
    }));
  }

  #planAnswer(plan: RoundPlan): PollAnswer {
    const deltas = (plan.baseDeltas ?? []).map(({ blob }) => blob);
    const ids = [plan.instructions, plan.globalAdapter, ...plan.frozen, ...deltas];
    return { kind: "plan", plan, refs: Object.fromEntries(ids.map((id) => [id, this.blobs.get(id)?.byteLength ?? 0])) };
  }

  #put(bytes: Uint8Array): { id: BlobId; size: number } {
    const id = blobIdOf(bytes, nodeSha256);
    this.blobs.set(id, bytes);
    return { id, size: bytes.byteLength };
  }

  #validated({ id, bytes, verified }: Upload): StateDict {
    if (verified !== bytes.byteLength || blobIdOf(bytes, nodeSha256) !== id) {
      throw new FedLoraError("blob-hash-mismatch", "the upload does not add up to its id");
    }
    const { tensors } = readSafetensors(bytes);
    const layout = layoutOf(tensors);
    const missing = this.options.instructions.uploadLayout.find(({ name }) => !tensors.has(name));
    if (missing !== undefined) throw new FedLoraError("update-tensor-missing", `"${missing.name}" is missing`);
    if (!layoutsEqual(layout, this.options.instructions.uploadLayout)) {
      throw new FedLoraError("update-shape", "the update's layout is not the plan's");
    }
    for (const [name, tensor] of tensors) {
      if (firstNonFinite(tensor) >= 0) throw new FedLoraError("update-not-finite", `"${name}" is not finite`);
    }
    return tensors;
  }

  #closeWhenComplete(): void {
    const kind = this.#evaluating ? "evaluate" : "train";
    const done = [...this.#plans.values()].filter(
      ({ plan, receipt }) => receipt !== undefined && plan.round === this.round && plan.kind === kind,
    );
    if (done.length < (this.options.cohort ?? 1)) return;
    for (const issued of this.#plans.values()) issued.open = false;
    const ids = new Set(done.map(({ plan }) => plan.planId));
    this.#nextRound(this.accepted.filter(({ planId }) => ids.has(planId)).flatMap(({ update }) => update ?? []));
  }

  #download(): StateDict {
    const { downloadCodec, roles } = this.options.instructions;
    if (downloadCodec === undefined) return this.global;
    const layout = roles.filter(({ downloaded }) => downloaded).map(({ spec }) => spec);
    return codecOf(downloadCodec).encode(layout, (name) => toFloat32(this.global.get(name)!));
  }

  #decode(update: StateDict): StateDict {
    const { codec, roles } = this.options.instructions;
    const layout = roles.filter(({ uploaded }) => uploaded).map(({ spec }) => spec);
    const values = openEncoded(codecOf(codec).decoder(layout), update);
    return new Map(layout.map(({ name, shape }) => [name, fromFloat32(values(name).slice(), shape)]));
  }

  #nextRound(updates: readonly StateDict[]): void {
    if (updates.length > 0) {
      const { updateForm } = this.options.instructions;
      this.global = average(
        this.global,
        updates.map((update) => this.#decode(update)),
        updateForm,
      );
    }
    this.#evaluating = (this.options.evaluate ?? false) && !this.#evaluating;
    if (!this.#evaluating) this.round++;
  }
}

function average(global: StateDict, updates: readonly StateDict[], form: string): StateDict {
  return new Map(
    [...global].map(([name, tensor]) => {
      const parts = updates
        .map((update) => update.get(name))
        .filter((part) => part !== undefined)
        .map((part) => toFloat32(part));
      if (parts.length === 0) return [name, tensor];
      const base = toFloat32(tensor);
      const values = base.map((value, i) => {
        const mean = parts.reduce((sum, part) => sum + (part[i] ?? 0), 0) / parts.length;
        return form === "delta" ? value + mean : mean;
      });
      return [name, fromFloat32(values, tensor.shape)];
    }),
  );
}
