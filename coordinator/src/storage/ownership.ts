import { FedLoraError } from "@fedlora/core";
import { randomUUID } from "node:crypto";

import type { FileSystem } from "./file-system.js";
import { readWholeFile, writeFileAtomically } from "./file-system.js";

/** Who holds a storage folder. */
export interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process started, in the machine's own unit; tells a reused pid apart. Empty where it cannot be known. */
  readonly startedAt: string;
}

/** The machine's processes, as a dependency of the lock. */
export interface ProcessTable {
  self(): Holder;
  isAlive(holder: Holder): boolean;
}

/** The right to write to a storage folder, until another opening takes it. */
export interface Ownership {
  readonly epoch: number;
  /** Throws `storage-fenced` once a later opening has taken the folder. */
  assertHeld(): Promise<void>;
  /** Lets the next opening in without a question; the epoch stays used. */
  release(): Promise<void>;
}

const namePattern = /^owner-(\d{10})\.json$/;

/**
 * Takes a storage folder: raises the fencing epoch durably and ends the rights of every earlier opening.
 *
 * The epoch is the number in the name of the one file `owner-N.json`. Linking it is atomic, so two openings never get the
 * same epoch; removing the earlier file is what fences its holder, which looks for its file after each sync and before
 * it acknowledges. Whoever still found it had its records on the disk before the new owner reads them.
 *
 * A live holder is refused with `storage-fenced`, unless `takeOver` is set. A holder on another host cannot be looked up
 * and counts as gone: container hosts change their name at every start, and fencing keeps the data safe either way.
 */
export async function takeOwnership(
  fileSystem: FileSystem,
  folder: string,
  processes: ProcessTable,
  takeOver: boolean,
): Promise<Ownership> {
  const self = processes.self();
  for (;;) {
    const epochs = await listEpochs(fileSystem, folder);
    const newest = epochs.at(-1);
    if (newest !== undefined && !takeOver) {
      const holder = await readHolder(fileSystem, `${folder}/${ownerName(newest)}`);
      if (holder !== undefined && processes.isAlive(holder)) throw inUse(folder, holder);
    }
    const epoch = (newest ?? 0) + 1;
    const claim = `claim-${randomUUID()}`;
    await writeFileAtomically(fileSystem, folder, claim, [encodeHolder(self)]);
    const won = await fileSystem.link(`${folder}/${claim}`, `${folder}/${ownerName(epoch)}`);
    await fileSystem.remove(`${folder}/${claim}`);
    if (!won) continue;
    await fileSystem.syncFolder(folder);
    for (const earlier of epochs) await fileSystem.remove(`${folder}/${ownerName(earlier)}`);
    return new FileOwnership(fileSystem, folder, epoch);
  }
}

class FileOwnership implements Ownership {
  readonly epoch: number;
  readonly #fileSystem: FileSystem;
  readonly #folder: string;

  constructor(fileSystem: FileSystem, folder: string, epoch: number) {
    this.#fileSystem = fileSystem;
    this.#folder = folder;
    this.epoch = epoch;
  }

  async assertHeld(): Promise<void> {
    if ((await this.#fileSystem.stat(`${this.#folder}/${ownerName(this.epoch)}`)) !== undefined) return;
    throw new FedLoraError("storage-fenced", `another coordinator opened ${this.#folder} after epoch ${this.epoch}`, {
      details: { epoch: String(this.epoch) },
    });
  }

  async release(): Promise<void> {
    await this.assertHeld();
    await writeFileAtomically(this.#fileSystem, this.#folder, ownerName(this.epoch), [Buffer.from("{}\n")]);
  }
}

async function listEpochs(fileSystem: FileSystem, folder: string): Promise<number[]> {
  const names = await fileSystem.list(folder);
  return names
    .map((name) => namePattern.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

/** Undefined for a released folder, and for a file that vanished or was damaged: fencing covers those. */
async function readHolder(fileSystem: FileSystem, path: string): Promise<Holder | undefined> {
  try {
    const value: unknown = JSON.parse(Buffer.from(await readWholeFile(fileSystem, path)).toString("utf8"));
    if (typeof value !== "object" || value === null || !("pid" in value) || !("host" in value)) return undefined;
    const startedAt = "startedAt" in value ? String(value.startedAt) : "";
    return { pid: Number(value.pid), host: String(value.host), startedAt };
  } catch {
    return undefined;
  }
}

function inUse(folder: string, holder: Holder): FedLoraError {
  return new FedLoraError("storage-fenced", `${folder} is in use by process ${holder.pid} on ${holder.host}`, {
    details: { pid: String(holder.pid), host: holder.host },
  });
}

const ownerName = (epoch: number): string => `owner-${String(epoch).padStart(10, "0")}.json`;
const encodeHolder = (holder: Holder): Uint8Array => Buffer.from(`${JSON.stringify(holder)}\n`);
