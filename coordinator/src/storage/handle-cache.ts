import type { OpenFile } from "./file-system.js";

interface Entry {
  readonly file: Promise<OpenFile>;
  users: number;
  dropped: boolean;
}

/** Keeps the files that were read last open, because a download reads one file hundreds of times. */
export class HandleCache {
  readonly #open: (key: string) => Promise<OpenFile>;
  readonly #maxFiles: number;
  /** In the order of last use. */
  readonly #entries = new Map<string, Entry>();

  constructor(open: (key: string) => Promise<OpenFile>, maxFiles: number) {
    this.#open = open;
    this.#maxFiles = maxFiles;
  }

  async use<T>(key: string, operation: (file: OpenFile) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(key) ?? { file: this.#open(key), users: 0, dropped: false };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users += 1;
    try {
      return await operation(await entry.file);
    } catch (thrown) {
      // A file that could not be opened, or failed, is opened afresh next time.
      await this.drop(key);
      throw thrown;
    } finally {
      entry.users -= 1;
      await this.#closeUnused(entry);
      await this.#evict();
    }
  }

  async drop(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    entry.dropped = true;
    await this.#closeUnused(entry);
  }

  async close(): Promise<void> {
    for (const key of [...this.#entries.keys()]) await this.drop(key);
  }

  async #evict(): Promise<void> {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= this.#maxFiles) return;
      if (entry.users === 0) await this.drop(key);
    }
  }

  async #closeUnused(entry: Entry): Promise<void> {
    if (!entry.dropped || entry.users > 0) return;
    await entry.file.then(
      (file) => file.close(),
      () => undefined,
    );
  }
}
