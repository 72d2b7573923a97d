import { FedLoraError } from "@fedlora/core";

import type { FileSystem } from "./file-system.js";
import { readWholeFile, writeFileAtomically } from "./file-system.js";
import type { SecretStore } from "./storage.js";

const suffix = ".secret";

/**
 * Secrets as files of their own, readable by their owner only, apart from the journal, whose segments are never rewritten.
 * Erasing overwrites the file before its name goes; what the disk itself keeps of overwritten sectors is beyond reach.
 */
export class FileSecretStore implements SecretStore {
  readonly #fileSystem: FileSystem;
  readonly #folder: string;

  constructor(fileSystem: FileSystem, folder: string) {
    this.#fileSystem = fileSystem;
    this.#folder = folder;
  }

  put(name: string, bytes: Uint8Array): Promise<void> {
    return writeFileAtomically(this.#fileSystem, this.#folder, fileName(name), [bytes]);
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const path = `${this.#folder}/${fileName(name)}`;
    if ((await this.#fileSystem.stat(path)) === undefined) return undefined;
    return readWholeFile(this.#fileSystem, path);
  }

  async erase(name: string): Promise<void> {
    await this.#erase(fileName(name));
    await this.#fileSystem.syncFolder(this.#folder);
  }

  /** Also removes what a process that ended in the middle of a write left. */
  async eraseExcept(names: ReadonlySet<string>): Promise<void> {
    const kept = new Set([...names].map(fileName));
    const files = (await this.#fileSystem.list(this.#folder)).filter((file) => !kept.has(file));
    if (files.length === 0) return;
    for (const file of files) await this.#erase(file);
    await this.#fileSystem.syncFolder(this.#folder);
  }

  async #erase(name: string): Promise<void> {
    const path = `${this.#folder}/${name}`;
    const found = await this.#fileSystem.stat(path);
    if (found === undefined) return;
    const file = await this.#fileSystem.open(path, "write");
    try {
      await file.write([new Uint8Array(found.size)], 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await this.#fileSystem.remove(path);
  }
}

function fileName(name: string): string {
  if (/^[a-z0-9-]{1,64}$/.test(name)) return `${name}${suffix}`;
  throw new FedLoraError("internal", `a secret cannot be named ${JSON.stringify(name)}`);
}
