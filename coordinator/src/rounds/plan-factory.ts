import { clientMismatch, hashedTensors, planInstructions } from "@fedlora/aggregators";
import type { ClientCapability, ClientInstruction, IntakeRule, MethodRunState } from "@fedlora/aggregators";
import {
  canonicalBytes,
  canonicalJson,
  codecOf,
  FedLoraError,
  planSafetensors,
  readSafetensors,
  toFloat32,
  writeSafetensors,
} from "@fedlora/core";
import type { BlobId, ClientId, PlanId, PlanInstructions, PlanKind, StateDict, TensorLayout } from "@fedlora/core";

import type { ModuleRanks } from "../planning/rank-planner.js";
import type { BlobStore } from "../storage/storage.js";
import type { BlobKeeper } from "./blob-keeper.js";
import { decodeMethodState } from "./method-state-file.js";
import { planPrivacyOf } from "../privacy/privacy-terms.js";
import type { PresentClient } from "./presence.js";
import { RankPlanning } from "./rank-planning.js";
import type { RunContext } from "./run-context.js";
import type { BlobRef, IssuedPlan } from "./run-events.js";
import type { RunMachineState } from "./run-state.js";

/** Room for the metadata in an update's header, beside the layout itself. */
const metadataBytes = 16 * 1024;

/** Reads a whole blob. */
export async function readBlob(blobs: BlobStore, { id, size }: BlobRef): Promise<Uint8Array> {
  return blobs.read(id, 0, size);
}

/** The method's state before a round. */
export async function loadMethodState(
  blobs: BlobStore,
  context: RunContext,
  state: RunMachineState,
): Promise<MethodRunState> {
  if (state.methodState === null) return context.method.initialState();
  return decodeMethodState(await readBlob(blobs, state.methodState));
}

interface LoadedRound {
  readonly key: string;
  readonly methodState: MethodRunState;
  readonly methodPhase: string;
  readonly planning: RankPlanning;
}

type Prepared = Omit<IssuedPlan, "planId" | "clientId" | "ranks">;

/**
 * Makes plans: asks the method what each client does, and stores instructions and downloads as blobs. Clients with equal
 * instructions share both.
 */
export class PlanFactory {
  readonly #blobs: BlobStore;
  readonly #keeper: BlobKeeper;
  readonly #context: RunContext;
  readonly #randomBytes: (length: number) => Uint8Array;
  /** Of the adapter that plans were last made for, by the instruction's canonical JSON. */
  #prepared = new Map<string, Prepared>();
  #preparedFor = "";
  #round: LoadedRound | undefined;
  #global: { readonly id: BlobId; readonly tensors: StateDict } | undefined;

  constructor(blobs: BlobStore, keeper: BlobKeeper, context: RunContext, randomBytes: (length: number) => Uint8Array) {
    this.#blobs = blobs;
    this.#keeper = keeper;
    this.#context = context;
    this.#randomBytes = randomBytes;
  }

  /** Reads the method's state of the round, once. */
  async load(state: RunMachineState): Promise<LoadedRound> {
    const key = `${state.round}:${state.methodState?.id ?? ""}`;
    if (this.#round?.key !== key) {
      const methodState = await loadMethodState(this.#blobs, this.#context, state);
      const methodPhase = this.#context.method.phase(methodState, state.round);
      const planning = new RankPlanning(this.#context, methodState, methodPhase);
      this.#round = { key, methodState, methodPhase, planning };
    }
    return this.#round;
  }

  /** Whether the client can do what the method would ask of it in the round that was loaded last. */
  canFulfil(client: PresentClient): boolean {
    if (this.#round === undefined) return true;
    const { methodPhase, methodState, planning } = this.#round;
    const capability = capabilityOf(client, planning.ranksAlone(client));
    const instruction = this.#context.method.prepare(methodPhase, methodState, capability);
    return clientMismatch(capability, instruction, this.#context.spec.codec) === undefined;
  }

  /** What the method asks of, and takes from, a client of full rank: neither roles nor stale weights depend on more. */
  forAnyone(
    methodState: MethodRunState,
    methodPhase: string,
  ): { readonly instruction: ClientInstruction; readonly rule: IntakeRule } {
    const anyone = { clientId: "" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
    const instruction = this.#context.method.prepare(methodPhase, methodState, anyone);
    return { instruction, rule: this.#context.method.intake(instruction, 0) };
  }

  /** Plans for the state's round, in the order of the clients, and the method's phase that they belong to. */
  async issue(
    state: RunMachineState,
    kind: PlanKind,
    clients: readonly PresentClient[],
  ): Promise<{ readonly methodPhase: string; readonly plans: readonly IssuedPlan[] }> {
    const { methodState, methodPhase, planning } = await this.load(state);
    const preparedFor = `${state.round}:${state.adapter.id}`;
    if (this.#preparedFor !== preparedFor) {
      this.reset();
      this.#preparedFor = preparedFor;
    }
    const rankPlans = kind === "train" ? planning.plan(state, clients) : planning.evaluated(clients);
    const plans: IssuedPlan[] = [];
    for (const { client, ranks, facts } of rankPlans) {
      const trained = this.#context.method.prepare(methodPhase, methodState, capabilityOf(client, ranks));
      // What is evaluated is the adapter as it is, not what a codec leaves of it on its way to training.
      const instruction = kind === "train" ? trained : { ...trained, downloadCodec: undefined };
      const prepared = await this.#prepare(state, instruction);
      plans.push({
        planId: this.#planId(state),
        clientId: client.clientId,
        ...prepared,
        uploadBytes: kind === "train" ? prepared.uploadBytes : 0,
        ...(facts && { ranks: facts }),
      });
    }
    return { methodPhase, plans };
  }

  /** Lets go of the blobs of the last round; plans that were issued keep theirs by being named in the state. */
  reset(): void {
    for (const { instructions, download, frozen } of this.#prepared.values()) {
      this.#keeper.unpin([instructions, download, ...frozen].map(({ id }) => id));
    }
    this.#prepared = new Map();
    this.#preparedFor = "";
    this.#global = undefined;
  }

  async #prepare(state: RunMachineState, instruction: ClientInstruction): Promise<Prepared> {
    const key = canonicalJson(instruction);
    const known = this.#prepared.get(key);
    if (known !== undefined) return known;
    const { spec, method } = this.#context;
    const rule = method.intake(instruction, state.baseVersion);
    const instructions: PlanInstructions = {
      ...planInstructions(spec, method, instruction),
      privacy: state.privacy === null ? undefined : planPrivacyOf(spec, state.privacy.noiseMultiplier),
    };
    const { methodState } = await this.load(state);
    const global = await this.#loadGlobal(state.adapter);
    const files = [
      canonicalBytes(instructions),
      writeSafetensors(encodeDownload(instruction, method.projectFor(instruction, global, methodState))),
      ...hashedTensors(instruction, global).map((tensors) => writeSafetensors(tensors)),
    ];
    const stored: BlobRef[] = [];
    try {
      for (const file of files) stored.push(await this.#keeper.put(file));
    } catch (thrown) {
      this.#keeper.unpin(stored.map(({ id }) => id));
      throw thrown;
    }
    const [instructionsRef, download, ...frozen] = stored as [BlobRef, BlobRef, ...BlobRef[]];
    const prepared = {
      instructions: instructionsRef,
      download,
      frozen,
      uploadBytes: maxUploadBytes(rule.layout),
      maxNorm: spec.limits.maxUpdateNorm ?? rule.maxNorm ?? null,
      weightFactor: rule.staleWeight(0),
    };
    this.#prepared.set(key, prepared);
    return prepared;
  }

  async #loadGlobal(adapter: BlobRef): Promise<StateDict> {
    if (this.#global?.id !== adapter.id) {
      const { tensors } = readSafetensors(await readBlob(this.#blobs, adapter));
      this.#global = { id: adapter.id, tensors };
    }
    return this.#global.tensors;
  }

  /** RUN.ROUND.RANDOM: nobody can guess another's, and the round of a forgotten one can still be told. */
  #planId({ runId, round }: RunMachineState): PlanId {
    return `${runId}.${round}.${Buffer.from(this.#randomBytes(8)).toString("hex")}` as PlanId;
  }
}

function capabilityOf({ clientId, capability }: PresentClient, ranks: ModuleRanks | undefined): ClientCapability {
  const { maxRank, directives, codecs } = capability;
  return { clientId, maxRank, ranks, directives, codecs };
}

/** The download as it travels. */
function encodeDownload({ roles, downloadCodec }: ClientInstruction, projected: StateDict): StateDict {
  if (downloadCodec === undefined) return projected;
  const layout = roles.filter((role) => role.downloaded).map(({ spec }) => spec);
  return codecOf(downloadCodec).encode(layout, (name) => {
    const tensor = projected.get(name);
    if (tensor === undefined) throw new FedLoraError("internal", `the method projects no "${name}"`);
    return toFloat32(tensor);
  });
}

/** A file of exactly the layout, with room for metadata. */
export function maxUploadBytes(layout: TensorLayout): number {
  return planSafetensors(layout).fileSize + metadataBytes;
}
