import type { RunId } from "@fedlora/core";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type BaseChain, baseChainSchema } from "./base-chain.js";
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

/** What this client knows of the changes to the base weights, by run: a list of blobs in a small file of the run's folder. */
export class BaseChains {
  readonly #runsFolder: string;

  constructor(stateFolder: string) {
    this.#runsFolder = join(stateFolder, "runs");
  }

  /** Empty for a run that is not known, or whose file was damaged: the coordinator then sends the whole chain. */
  async load(runId: RunId): Promise<BaseChain> {
    const bytes = await readIfPresent(this.#path(runId));
    try {
      return bytes === undefined ? [] : baseChainSchema.parse(JSON.parse(bytes.toString("utf8")));
    } catch {
      return [];
    }
  }

  async save(runId: RunId, chain: BaseChain): Promise<void> {
    await mkdir(join(this.#runsFolder, runId), { recursive: true });
    await replacePrivateFile(this.#path(runId), JSON.stringify(chain));
  }

  #path(runId: RunId): string {
    return join(this.#runsFolder, runId, "base-chain.json");
  }
}
