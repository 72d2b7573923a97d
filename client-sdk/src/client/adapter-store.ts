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
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

export interface StoredAdapter {
  readonly runId: RunId;
  readonly instructions: PlanInstructions;
  readonly tensors: StateDict;
}

/** The global adapter that this client saw last, with what is needed to load it, in one file that is replaced whole. */
export class AdapterStore {
  readonly #path: string;

  constructor(stateFolder: string) {
    this.#path = join(stateFolder, "global-adapter.safetensors");
  }

  async save({ runId, instructions, tensors }: StoredAdapter): Promise<void> {
    const metadata = { runId, instructions: new TextDecoder().decode(planInstructionsBytes(instructions)) };
    await replacePrivateFile(this.#path, writeSafetensors(tensors, { metadata }));
  }

  /** Undefined before the first plan. */
  async load(): Promise<StoredAdapter | undefined> {
    const bytes = await readIfPresent(this.#path);
    if (bytes === undefined) return undefined;
    const { tensors, metadata } = readSafetensors(bytes);
    const instructions = parsePlanInstructions(new TextEncoder().encode(metadata.get("instructions") ?? ""));
    return { runId: (metadata.get("runId") ?? "") as RunId, instructions, tensors };
  }
}
