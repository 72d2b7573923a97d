import type {
  AnsweredPlan,
  BaseChain,
  ClientState,
  DownloadCache,
  FinishedUpdates,
  FinishedWork,
  OpenUpdate,
  PartialDownload,
} from "@fedlora/client-sdk/parts";
import { PrivacyLedger } from "@fedlora/client-sdk/parts";
import type { BlobReference, Identity } from "@fedlora/client-sdk";
import {
  FedLoraError,
  blobIdOfChunks,
  type BlobId,
  type PlanId,
  type PlanInstructions,
  type RunId,
  type StateDict,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { createHash } from "node:crypto";
import type { BlobPool } from "./blob-pool.js";
import type { KeptStore, KeptTensors } from "./kept-store.js";

const empty: StateDict = new Map();
/** Blobs that a client knows that it has fetched: frozen factors, instructions, the latest downloads. */
const rememberedBlobs = 32;
const rememberedPlans = 16;

/** What a virtual client remembers while it is not connected; a few hundred bytes. */
export interface ClientMemory {
  readonly fetched: Set<BlobId>;
  baseChain: BaseChain;
}

export const newMemory = (): ClientMemory => ({ fetched: new Set(), baseChain: [] });

export interface VirtualStateParts {
  readonly client: number;
  readonly name: string;
  readonly memory: ClientMemory;
  readonly pool: BlobPool;
  readonly kept: KeptStore;
}

/** The state folder of a virtual client, in memory: what it downloaded is shared, what it trained is in a bounded store. */
export class VirtualState implements ClientState {
  readonly identity: Identity;
  readonly journal = new VirtualJournal();
  readonly updates = new VirtualUpdates();
  readonly cache: DownloadCache;
  readonly runs: VirtualRuns;
  readonly adapters = { save: () => Promise.resolve(), load: () => Promise.resolve(undefined) };
  readonly baseChains: ClientState["baseChains"];
  /** Of this visit: nobody asks a virtual client what it released before. */
  readonly ledger = new PrivacyLedger();

  constructor({ client, name, memory, pool, kept }: VirtualStateParts) {
    // Nobody is between a virtual client and its coordinator, so its key only names it.
    const publicKey = createHash("sha256").update(`fedlora virtual client: ${name}`).digest();
    this.identity = { publicKey, sign: () => new Uint8Array(64) };
    this.cache = new VirtualCache(memory.fetched, pool);
    this.runs = new VirtualRuns(client, kept);
    this.baseChains = {
      load: () => Promise.resolve(memory.baseChain),
      save: (_, chain) => {
        memory.baseChain = chain;
        return Promise.resolve();
      },
    };
  }

  pinCoordinatorKey(): Promise<void> {
    return Promise.resolve();
  }

  removeWorkExcept(planId: PlanId | undefined): Promise<void> {
    this.updates.retain(planId);
    return Promise.resolve();
  }
}

class VirtualJournal {
  #finished: FinishedWork | undefined;
  readonly #answered = new Map<PlanId, AnsweredPlan>();

  get finished(): FinishedWork | undefined {
    return this.#finished;
  }

  answered(planId: PlanId): AnsweredPlan | undefined {
    return this.#answered.get(planId);
  }

  recordFinished(finished: FinishedWork): Promise<void> {
    this.#finished = finished;
    return Promise.resolve();
  }

  recordAnswer(answer: AnsweredPlan): Promise<void> {
    if (this.#finished?.planId === answer.planId) this.#finished = undefined;
    this.#answered.set(answer.planId, answer);
    const [oldest] = this.#answered.keys();
    if (this.#answered.size > rememberedPlans && oldest !== undefined) this.#answered.delete(oldest);
    return Promise.resolve();
  }
}

class VirtualUpdates implements FinishedUpdates {
  readonly #updates = new Map<PlanId, Uint8Array>();

  save(planId: PlanId, bytes: Uint8Array): Promise<void> {
    this.#updates.set(planId, bytes);
    return Promise.resolve();
  }

  async open(planId: PlanId): Promise<OpenUpdate> {
    const bytes = await this.bytesOf(planId);
    return {
      read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
      close: () => Promise.resolve(),
    };
  }

  assertIntact(): Promise<void> {
    return Promise.resolve();
  }

  bytesOf(planId: PlanId): Promise<Uint8Array> {
    const bytes = this.#updates.get(planId);
    return bytes === undefined
      ? Promise.reject(new FedLoraError("file-missing", `plan ${planId} has no update`))
      : Promise.resolve(bytes);
  }

  retain(planId: PlanId | undefined): void {
    for (const id of this.#updates.keys()) if (id !== planId) this.#updates.delete(id);
  }
}

class VirtualCache implements DownloadCache {
  readonly #fetched: Set<BlobId>;
  readonly #pool: BlobPool;

  constructor(fetched: Set<BlobId>, pool: BlobPool) {
    this.#fetched = fetched;
    this.#pool = pool;
  }

  read({ id }: BlobReference): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#fetched.has(id) ? this.#pool.get(id) : undefined);
  }

  file({ id }: BlobReference): Promise<string | undefined> {
    return this.#fetched.has(id) ? (this.#pool.file(id) ?? Promise.resolve(undefined)) : Promise.resolve(undefined);
  }

  openPartial(ref: BlobReference): Promise<PartialDownload> {
    let pieces: Uint8Array[] = [];
    let offset = 0;
    let digests: Uint8Array[] = [];
    return Promise.resolve({
      get offset() {
        return offset;
      },
      append: (chunk, digest) => {
        pieces.push(chunk);
        digests.push(digest);
        offset += chunk.byteLength;
        return Promise.resolve();
      },
      finish: () => {
        if (blobIdOfChunks(digests, nodeSha256) !== ref.id) {
          [pieces, offset, digests] = [[], 0, []];
          return Promise.reject(new FedLoraError("blob-hash-mismatch", `blob ${ref.id} is not what its id says`));
        }
        this.#remember(ref.id, pieces);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    });
  }

  #remember(id: BlobId, pieces: readonly Uint8Array[]): void {
    const [only, ...others] = pieces;
    this.#pool.put(id, only !== undefined && others.length === 0 ? only : Uint8Array.from(Buffer.concat(pieces)));
    this.#fetched.delete(id);
    this.#fetched.add(id);
    const [oldest] = this.#fetched;
    if (this.#fetched.size > rememberedBlobs && oldest !== undefined) this.#fetched.delete(oldest);
  }
}

/** As `RunTensors`, but it keeps only what the run's plans can ask for again. */
class VirtualRuns {
  readonly #client: number;
  readonly #store: KeptStore;
  #keptNames: ReadonlySet<string> = new Set();
  #staged: { readonly planId: PlanId; readonly kept: KeptTensors } | undefined;

  constructor(client: number, store: KeptStore) {
    this.#client = client;
    this.#store = store;
  }

  trained(): Promise<{ readonly tensors: StateDict; readonly round: number }> {
    const kept = this.#store.get(this.#client);
    return Promise.resolve({ tensors: kept?.trained ?? empty, round: kept?.round ?? 0 });
  }

  kept(_: RunId, round: number, instructions: PlanInstructions): Promise<StateDict> {
    const roles = instructions.roles.filter(({ keep }) => keep !== "none");
    this.#keptNames = new Set(roles.map(({ spec }) => spec.name));
    if (roles.length === 0) return Promise.resolve(empty);
    const kept = this.#store.get(this.#client);
    const usable = roles.filter(({ keep }) => keep === "run" || kept?.round === round);
    return Promise.resolve(
      new Map(
        usable.flatMap(({ spec: { name } }) => {
          const tensor = kept?.trained.get(name);
          return tensor === undefined ? [] : [[name, tensor]];
        }),
      ),
    );
  }

  async lacksOwn(runId: RunId, round: number, instructions: PlanInstructions): Promise<boolean> {
    const own = instructions.roles.filter(({ trained, keep }) => trained && keep === "run");
    if (own.length === 0) return false;
    const kept = await this.kept(runId, round, instructions);
    return own.some(({ spec }) => !kept.has(spec.name));
  }

  optimizer(): Promise<StateDict | undefined> {
    return Promise.resolve(this.#store.get(this.#client)?.optimizer);
  }

  residual(): Promise<StateDict> {
    return Promise.resolve(this.#store.get(this.#client)?.residual ?? empty);
  }

  stage(
    { planId, round }: { readonly planId: PlanId; readonly round: number },
    trained: StateDict,
    optimizer: StateDict | undefined,
    residual?: StateDict,
  ): Promise<void> {
    const names = this.#keptNames;
    const own = [...trained].filter(([name]) => names.has(name));
    this.#staged = undefined;
    if (own.length === 0 && optimizer === undefined && residual === undefined) return Promise.resolve();
    const before = this.#store.get(this.#client);
    const kept: KeptTensors = {
      trained: new Map([...(before?.trained ?? []), ...own]),
      round,
      optimizer: optimizer ?? before?.optimizer,
      residual: residual === undefined ? before?.residual : new Map([...(before?.residual ?? []), ...residual]),
    };
    this.#staged = { planId, kept };
    return Promise.resolve();
  }

  promote(planId: PlanId): Promise<void> {
    if (this.#staged?.planId === planId) this.#store.set(this.#client, this.#staged.kept);
    this.#staged = undefined;
    return Promise.resolve();
  }
}
