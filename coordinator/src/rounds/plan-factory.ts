import { clientMismatch } from "@fedlora/aggregators";
import type { ClientCapability, ClientInstruction, MethodRunState } from "@fedlora/aggregators";
import { canonicalBytes, canonicalJson, planSafetensors, readSafetensors, writeSafetensors } from "@fedlora/core";
import type { BlobId, PlanId, PlanInstructions, PlanKind, StateDict, TensorLayout } from "@fedlora/core";

import type { BlobStore } from "../storage/storage.js";
import type { BlobKeeper } from "./blob-keeper.js";
import { decodeMethodState } from "./method-state-file.js";
import type { PresentClient } from "./presence.js";
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

type Prepared = Omit<IssuedPlan, "planId" | "clientId">;

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
  #round: { readonly key: string; readonly methodState: MethodRunState; readonly methodPhase: string } | undefined;
  #global: { readonly id: BlobId; readonly tensors: StateDict } | undefined;

  constructor(blobs: BlobStore, keeper: BlobKeeper, context: RunContext, randomBytes: (length: number) => Uint8Array) {
    this.#blobs = blobs;
    this.#keeper = keeper;
    this.#context = context;
    this.#randomBytes = randomBytes;
  }

  /** Reads the method's state of the round, once. */
  async load(state: RunMachineState): Promise<{ readonly methodState: MethodRunState; readonly methodPhase: string }> {
    const key = `${state.round}:${state.methodState?.id ?? ""}`;
    if (this.#round?.key !== key) {
      const methodState = await loadMethodState(this.#blobs, this.#context, state);
      this.#round = { key, methodState, methodPhase: this.#context.method.phase(methodState, state.round) };
    }
    return this.#round;
  }

  /** Whether the client can do what the method would ask of it in the round that was loaded last. */
  canFulfil(client: PresentClient): boolean {
    if (this.#round === undefined) return true;
    const capability = capabilityOf(client);
    const { methodPhase, methodState } = this.#round;
    const instruction = this.#context.method.prepare(methodPhase, methodState, capability);
    return clientMismatch(capability, instruction, this.#context.spec.codec) === undefined;
  }

  /** Plans for the state's round, in the order of the clients, and the method's phase that they belong to. */
  async issue(
    state: RunMachineState,
    kind: PlanKind,
    clients: readonly PresentClient[],
  ): Promise<{ readonly methodPhase: string; readonly plans: readonly IssuedPlan[] }> {
    const { methodState, methodPhase } = await this.load(state);
    const preparedFor = `${state.round}:${state.adapter.id}`;
    if (this.#preparedFor !== preparedFor) {
      this.reset();
      this.#preparedFor = preparedFor;
    }
    const plans: IssuedPlan[] = [];
    for (const client of clients) {
      const instruction = this.#context.method.prepare(methodPhase, methodState, capabilityOf(client));
      const prepared = await this.#prepare(state, instruction);
      plans.push({
        planId: this.#planId(state),
        clientId: client.clientId,
        ...prepared,
        uploadBytes: kind === "train" ? prepared.uploadBytes : 0,
      });
    }
    return { methodPhase, plans };
  }

  /** Lets go of the blobs of the last round; plans that were issued keep theirs by being named in the state. */
  reset(): void {
    for (const { instructions, download } of this.#prepared.values()) {
      this.#keeper.unpin([instructions.id, download.id]);
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
      format: "fedlora-instructions/1",
      task: spec.task,
      adapter: spec.adapter,
      training: spec.training,
      roles: instruction.roles,
      updateForm: instruction.updateForm,
      uploadLayout: rule.layout,
      codec: spec.codec,
      directives: instruction.directives,
      keepOptimizerState: instruction.keepOptimizerState,
      seed: spec.training.seed,
      rounds: spec.rounds,
    };
    const projected = method.projectFor(instruction, await this.#loadGlobal(state.adapter));
    const frozen: BlobRef[] = [];
    for (const id of instruction.frozen) frozen.push({ id, size: await this.#blobs.size(id) });
    const stored = await this.#keeper.put(canonicalBytes(instructions));
    const download = await this.#keeper.put(writeSafetensors(projected)).catch((thrown: unknown) => {
      this.#keeper.unpin([stored.id]);
      throw thrown;
    });
    const prepared = {
      instructions: stored,
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

function capabilityOf({ clientId, capability }: PresentClient): ClientCapability {
  const { maxRank, directives, codecs } = capability;
  return { clientId, maxRank, directives, codecs };
}

/** A file of exactly the layout, with room for metadata. */
export function maxUploadBytes(layout: TensorLayout): number {
  return planSafetensors(layout).fileSize + metadataBytes;
}
