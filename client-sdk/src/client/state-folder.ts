import type { Clock, Logger, PlanId } from "@fedlora/core";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PrivacyLedger } from "../privacy/ledger.js";
import { openLedgerFile } from "../privacy/ledger-file.js";
import { loadOrCreateIdentity, type Identity } from "../identity.js";
import { BlobCache } from "../transfer/blob-cache.js";
import { AdapterStore } from "./adapter-store.js";
import { BaseChains } from "./base-chains.js";
import type { ClientState } from "./client-state.js";
import { FinishedUpdateFiles } from "./finished-updates.js";
import { lockFolder, type FolderLock } from "./folder-lock.js";
import { pinCoordinatorKey } from "./pinned-keys.js";
import { RunTensors } from "./run-tensors.js";
import { WorkJournal } from "./work-journal.js";

/**
 * A client's memory between starts:
 *
 *     lock                            the process that holds the folder
 *     identity.pem                    the client's key
 *     coordinators.json               keys of coordinators, pinned on first use
 *     journal.json                    the finished update, if any, and how the latest plans ended
 *     work/PLAN.update.safetensors    the finished update's bytes, with what becomes of it once it is accepted
 *     runs/RUN/*.safetensors          trained values and optimizer state of a run
 *     runs/RUN/base-chain.json        the changes to the base weights that the run has made
 *     global-adapter.safetensors      the latest global adapter
 *     privacy-ledger.jsonl            what was released about each data set, over all runs and coordinators
 *     blobs/                          downloads by hash
 */
export class StateFolder implements ClientState {
  readonly path: string;
  readonly identity: Identity;
  readonly journal: WorkJournal;
  readonly updates: FinishedUpdateFiles;
  readonly cache: BlobCache;
  readonly runs: RunTensors;
  readonly adapters: AdapterStore;
  readonly baseChains: BaseChains;
  readonly ledger: PrivacyLedger;
  readonly #lock: FolderLock;

  private constructor(
    path: string,
    lock: FolderLock,
    parts: Pick<StateFolder, "identity" | "journal" | "cache" | "ledger">,
  ) {
    const { identity, journal, cache, ledger } = parts;
    this.path = path;
    this.ledger = ledger;
    this.#lock = lock;
    this.identity = identity;
    this.journal = journal;
    this.updates = new FinishedUpdateFiles(path);
    this.cache = cache;
    this.runs = new RunTensors(path);
    this.adapters = new AdapterStore(path);
    this.baseChains = new BaseChains(path);
  }

  /** Makes the folder where it is missing. Throws `config-invalid` when another client holds it, `file-invalid` for a damaged ledger. */
  static async open(path: string, cacheBytes: number, clock: Clock, logger: Logger): Promise<StateFolder> {
    for (const folder of ["work", "runs"]) await mkdir(join(path, folder), { recursive: true, mode: 0o700 });
    const lock = await lockFolder(path);
    try {
      const identity = await loadOrCreateIdentity(path);
      const journal = await WorkJournal.open(join(path, "journal.json"), logger);
      const cache = await BlobCache.open(join(path, "blobs"), cacheBytes, clock);
      const ledger = await openLedgerFile(path);
      const state = new StateFolder(path, lock, { identity, journal, cache, ledger });
      await state.removeWorkExcept(journal.finished?.planId);
      return state;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  pinCoordinatorKey(address: string, key: Uint8Array): Promise<void> {
    return pinCoordinatorKey(join(this.path, "coordinators.json"), address, key);
  }

  async removeWorkExcept(planId: PlanId | undefined): Promise<void> {
    const folder = join(this.path, "work");
    for (const name of await readdir(folder)) {
      if (planId === undefined || !name.startsWith(`${planId}.`)) await rm(join(folder, name), { force: true });
    }
  }

  async close(): Promise<void> {
    await this.#lock.release();
  }
}
