import {
  MemoryMedium,
  openMemoryStorage,
  type BlobStore,
  type Journal,
  type JournalEvent,
  type Snapshot,
  type Storage,
  type StoredEvent,
} from "@fedlora/coordinator";
import type { BlobId } from "@fedlora/core";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Storage of a coordinator that will never start again: blobs in memory, and a journal that counts its events and keeps none, so
 * that a run takes no more memory the longer it is.
 *
 * @param folder for blobs that an aggregation asks for as files; it belongs to the simulation and is removed with it
 */
export function openVolatileStorage(folder: string): Storage {
  const medium = new MemoryMedium();
  const { blobs, secrets } = openMemoryStorage(medium);
  return {
    journal: new VolatileJournal(),
    blobs: withFiles(blobs, medium, folder),
    secrets,
    healthy: () => Promise.resolve(true),
    close: () => Promise.resolve(),
  };
}

/** The same blobs, each also a file from when its path is first asked for. */
function withFiles(blobs: BlobStore, medium: MemoryMedium, folder: string): BlobStore {
  const files = new Set<BlobId>();
  return {
    has: (id) => blobs.has(id),
    size: (id) => blobs.size(id),
    read: (...args) => blobs.read(...args),
    path: (id) => {
      const bytes = medium.blobs.get(id);
      if (bytes === undefined) return undefined;
      const path = join(folder, id);
      if (!files.has(id)) writeFileSync(path, bytes);
      files.add(id);
      return path;
    },
    bytes: (id) => medium.blobs.get(id),
    scratchPath: () => blobs.scratchPath(),
    put: (bytes) => blobs.put(bytes),
    openPartial: (...args) => blobs.openPartial(...args),
    delete: (id) => {
      if (files.delete(id)) rmSync(join(folder, id), { force: true });
      return blobs.delete(id);
    },
    list: () => blobs.list(),
    sweepPartials: (...args) => blobs.sweepPartials(...args),
  };
}

class VolatileJournal implements Journal {
  readonly epoch = 1;
  #sequence = 0;

  get sequence(): number {
    return this.#sequence;
  }

  append(_expected: number, _epoch: number, events: readonly JournalEvent[]): Promise<number> {
    this.#sequence += events.length;
    return Promise.resolve(this.#sequence);
  }

  async *read(): AsyncGenerator<StoredEvent> {
    // There is nothing to read again.
  }

  writeSnapshot(): Promise<void> {
    return Promise.resolve();
  }

  readSnapshot(): Promise<Snapshot | undefined> {
    return Promise.resolve(undefined);
  }

  trim(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
