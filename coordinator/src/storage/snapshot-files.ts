import { FedLoraError } from "@fedlora/core";

import { crc32c } from "./crc32c.js";
import type { FileSystem } from "./file-system.js";
import { readWholeFile, writeFileAtomically } from "./file-system.js";
import type { Snapshot } from "./storage.js";

/**
 * Snapshots as files `NAME@EPOCH.snapshot`: one line of JSON with sequence, reducer version and the CRC-32C of the rest, a
 * line feed, then the value as JSON. Writes replace atomically. The epoch is in the name so that a fenced process that is
 * still at it cannot replace its successor's snapshot by an older one.
 */
export class SnapshotFiles {
  readonly #fileSystem: FileSystem;
  readonly #folder: string;
  readonly #epoch: number;
  /** Two writes of one name would share a temporary file. */
  readonly #busy = new Map<string, Promise<void>>();
  readonly #cleaned = new Set<string>();

  constructor(fileSystem: FileSystem, folder: string, epoch: number) {
    this.#fileSystem = fileSystem;
    this.#folder = folder;
    this.#epoch = epoch;
  }

  async write(name: string, snapshot: Snapshot): Promise<void> {
    const write = (): Promise<void> => this.#write(name, snapshot);
    const turn = (this.#busy.get(name) ?? Promise.resolve()).then(write, write);
    this.#busy.set(name, turn);
    try {
      await turn;
    } finally {
      if (this.#busy.get(name) === turn) this.#busy.delete(name);
    }
  }

  async read(name: string): Promise<Snapshot | undefined> {
    const epoch = (await this.#epochsOf(name)).at(-1);
    if (epoch === undefined) return undefined;
    const path = `${this.#folder}/${fileName(name, epoch)}`;
    const bytes = Buffer.from(await readWholeFile(this.#fileSystem, path));
    const end = bytes.indexOf(0x0a);
    const value = bytes.subarray(end + 1);
    const head = parseHead(bytes.subarray(0, Math.max(0, end)).toString("utf8"));
    if (head?.crc32c !== crc32c(value)) {
      throw new FedLoraError("journal-corrupt", `snapshot "${name}" is damaged`, { details: { file: path } });
    }
    const { sequence, reducerVersion } = head;
    return { sequence, reducerVersion, value: JSON.parse(value.toString("utf8")) as unknown };
  }

  async #write(name: string, snapshot: Snapshot): Promise<void> {
    const value = Buffer.from(JSON.stringify(snapshot.value), "utf8");
    const { sequence, reducerVersion } = snapshot;
    const head = JSON.stringify({ format: "fedlora-snapshot/1", sequence, reducerVersion, crc32c: crc32c(value) });
    const buffers = [Buffer.from(`${head}\n`, "utf8"), value];
    await writeFileAtomically(this.#fileSystem, this.#folder, fileName(name, this.#epoch), buffers);
    if (this.#cleaned.has(name)) return;
    this.#cleaned.add(name);
    for (const epoch of await this.#epochsOf(name)) {
      if (epoch < this.#epoch) await this.#fileSystem.remove(`${this.#folder}/${fileName(name, epoch)}`);
    }
  }

  async #epochsOf(name: string): Promise<number[]> {
    const prefix = `${encodeURIComponent(name)}@`;
    const files = (await this.#fileSystem.list(this.#folder)).filter((file) => file.startsWith(prefix));
    const digits = files.map((file) => /^(\d{10})\.snapshot$/.exec(file.slice(prefix.length))?.[1]);
    return digits
      .filter((value) => value !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }
}

function fileName(name: string, epoch: number): string {
  return `${encodeURIComponent(name)}@${String(epoch).padStart(10, "0")}.snapshot`;
}

function parseHead(text: string): { sequence: number; reducerVersion: number; crc32c: number } | undefined {
  try {
    const head = JSON.parse(text) as Partial<Record<string, unknown>>;
    const { sequence, reducerVersion } = head;
    const crc = head["crc32c"];
    if (typeof sequence !== "number" || typeof reducerVersion !== "number" || typeof crc !== "number") return undefined;
    return { sequence, reducerVersion, crc32c: crc };
  } catch {
    return undefined;
  }
}
