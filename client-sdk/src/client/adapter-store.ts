import {
  parsePlanInstructions,
  planInstructionsBytes,
  readSafetensors,
  writeSafetensors,
  type PlanInstructions,
  type RunId,
  type StateDict,
} from "@fedlora/core";
import { join } from "node:path";
import { type BaseChain, baseChainSchema } from "./base-chain.js";
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

export interface StoredAdapter {
  readonly runId: RunId;
  readonly instructions: PlanInstructions;
  readonly tensors: StateDict;
  /** The changes to the base weights that the adapter counts on; on other weights it would be another model. */
  readonly baseChain: BaseChain;
}

/** The global adapter that this client saw last, with what is needed to load it, in one file that is replaced whole. */
export class AdapterStore {
  readonly #path: string;

  constructor(stateFolder: string) {
    this.#path = join(stateFolder, "global-adapter.safetensors");
  }

  async save({ runId, instructions, tensors, baseChain }: StoredAdapter): Promise<void> {
    const metadata = {
      runId,
      instructions: new TextDecoder().decode(planInstructionsBytes(instructions)),
      baseChain: JSON.stringify(baseChain),
    };
    await replacePrivateFile(this.#path, writeSafetensors(tensors, { metadata }));
  }

  /** Undefined before the first plan. */
  async load(): Promise<StoredAdapter | undefined> {
    const bytes = await readIfPresent(this.#path);
    if (bytes === undefined) return undefined;
    const { tensors, metadata } = readSafetensors(bytes);
    const instructions = parsePlanInstructions(new TextEncoder().encode(metadata.get("instructions") ?? ""));
    const baseChain = baseChainSchema.parse(JSON.parse(metadata.get("baseChain") ?? "[]"));
    return { runId: (metadata.get("runId") ?? "") as RunId, instructions, tensors, baseChain };
  }
}
