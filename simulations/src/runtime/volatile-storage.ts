import {
  openMemoryStorage,
  type Journal,
  type JournalEvent,
  type Snapshot,
  type Storage,
  type StoredEvent,
} from "@fedlora/coordinator";

/**
 * Storage of a coordinator that will never start again: blobs in memory, and a journal that counts its events and keeps none, so
 * that a run takes no more memory the longer it is.
 */
export function openVolatileStorage(): Storage {
  const { blobs, secrets } = openMemoryStorage();
  return {
    journal: new VolatileJournal(),
    blobs,
    secrets,
    healthy: () => Promise.resolve(true),
    close: () => Promise.resolve(),
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
