import { blobIdOfChunks, chunkBytes, FedLoraError } from "@fedlora/core";
import type { BlobId } from "@fedlora/core";
import { createHash, hash, randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type {
  BlobStore,
  Journal,
  JournalEvent,
  PartialBlob,
  SecretStore,
  Snapshot,
  Storage,
  StoredEvent,
} from "./storage.js";

/** What outlives one opening of a memory storage: the stand-in for the disk. */
export class MemoryMedium {
  readonly events: StoredEvent[] = [];
  readonly snapshots = new Map<string, string>();
  readonly blobs = new Map<BlobId, Uint8Array>();
  readonly partials = new Map<string, MemoryPartialState>();
  readonly secrets = new Map<string, Uint8Array>();
  epoch = 0;
}

interface MemoryPartialState {
  readonly bytes: Uint8Array;
  readonly digests: Uint8Array[];
  nextOffset: number;
}

/** Storage in memory, for tests and simulations: everything the contract says but surviving the process. */
export function openMemoryStorage(medium: MemoryMedium = new MemoryMedium()): Storage {
  const journal = new MemoryJournal(medium);
  return {
    journal,
    blobs: new MemoryBlobStore(medium),
    secrets: memorySecrets(medium.secrets),
    healthy: () => Promise.resolve(medium.epoch === journal.epoch),
    close: () => journal.close(),
  };
}

function memorySecrets(secrets: Map<string, Uint8Array>): SecretStore {
  return {
    put: (name, bytes) => {
      secrets.set(name, Uint8Array.from(bytes));
      return Promise.resolve();
    },
    read: (name) => Promise.resolve(secrets.get(name)?.slice()),
    erase: (name) => {
      secrets.get(name)?.fill(0);
      secrets.delete(name);
      return Promise.resolve();
    },
    eraseExcept: (names) => {
      for (const name of [...secrets.keys()]) if (!names.has(name)) secrets.delete(name);
      return Promise.resolve();
    },
  };
}

class MemoryJournal implements Journal {
  readonly epoch: number;
  readonly #medium: MemoryMedium;
  #closed = false;

  constructor(medium: MemoryMedium) {
    this.#medium = medium;
    medium.epoch += 1;
    this.epoch = medium.epoch;
  }

  get sequence(): number {
    return this.#medium.events.length;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async append(expectedSequence: number, epoch: number, events: readonly JournalEvent[]): Promise<number> {
    this.#assertUsable();
    if (epoch < this.#medium.epoch) {
      throw new FedLoraError("storage-fenced", `epoch ${epoch} is older than ${this.#medium.epoch}`);
    }
    if (expectedSequence !== this.sequence) {
      const message = `expected sequence ${expectedSequence}, the journal is at ${this.sequence}`;
      throw new FedLoraError("journal-sequence", message);
    }
    for (const event of events) {
      this.#medium.events.push({ sequence: this.sequence + 1, epoch, event: plainCopy(event) });
    }
    return this.sequence;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is that of a journal on a disk
  async *read(after: number): AsyncIterable<StoredEvent> {
    for (const stored of this.#medium.events.slice(after)) yield { ...stored, event: plainCopy(stored.event) };
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async writeSnapshot(name: string, snapshot: Snapshot): Promise<void> {
    this.#assertUsable();
    if (this.epoch < this.#medium.epoch) throw new FedLoraError("storage-fenced", `epoch ${this.epoch} is over`);
    this.#medium.snapshots.set(name, JSON.stringify(snapshot));
  }

  readSnapshot(name: string): Promise<Snapshot | undefined> {
    const text = this.#medium.snapshots.get(name);
    return Promise.resolve(text === undefined ? undefined : (JSON.parse(text) as Snapshot));
  }

  /** Memory is given back with the medium; the audit keeps its history. */
  trim(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #assertUsable(): void {
    if (this.#closed) throw new FedLoraError("unavailable", "the journal is closed");
  }
}

class MemoryBlobStore implements BlobStore {
  readonly #medium: MemoryMedium;
  readonly #openPartials = new Set<string>();

  constructor(medium: MemoryMedium) {
    this.#medium = medium;
  }

  has(id: BlobId): Promise<boolean> {
    return Promise.resolve(this.#medium.blobs.has(id));
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async size(id: BlobId): Promise<number> {
    return this.#get(id).byteLength;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async read(id: BlobId, offset: number, length: number): Promise<Uint8Array> {
    const bytes = this.#get(id);
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.byteLength)) {
      throw new FedLoraError("blob-range-invalid", `blob ${id} has no ${length} bytes from ${offset} on`);
    }
    return bytes.slice(offset, offset + length);
  }

  path(): undefined {
    return undefined;
  }

  bytes(id: BlobId): Uint8Array | undefined {
    return this.#medium.blobs.get(id);
  }

  /** In the folder of temporary files, which the system clears. */
  scratchPath(): string {
    return join(tmpdir(), `fedlora-scratch-${randomUUID()}`);
  }

  put(bytes: Uint8Array): Promise<BlobId> {
    const digests: Uint8Array[] = [];
    for (let offset = 0; offset < bytes.byteLength; offset += chunkBytes) {
      digests.push(hash("sha256", bytes.subarray(offset, offset + chunkBytes), "buffer"));
    }
    const id = idOf(digests);
    this.#medium.blobs.set(id, Uint8Array.from(bytes));
    return Promise.resolve(id);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async openPartial(key: string, id: BlobId, size: number): Promise<PartialBlob> {
    const stored = this.#medium.blobs.get(id);
    const name = JSON.stringify([key, id, size]);
    if (this.#openPartials.has(name)) {
      throw new FedLoraError("upload-busy", `an upload of blob ${id} for "${key}" is open already`, {
        retryAfterMs: 1000,
      });
    }
    const state: MemoryPartialState = stored
      ? { bytes: stored, digests: [], nextOffset: size }
      : (this.#medium.partials.get(name) ?? { bytes: new Uint8Array(size), digests: [], nextOffset: 0 });
    if (stored === undefined) {
      this.#medium.partials.set(name, state);
      this.#openPartials.add(name);
    }
    const forget = (keep: boolean): void => {
      this.#openPartials.delete(name);
      if (!keep) this.#medium.partials.delete(name);
    };
    return new MemoryPartial(id, state, stored !== undefined, this.#medium, forget);
  }

  delete(id: BlobId): Promise<void> {
    this.#medium.blobs.delete(id);
    return Promise.resolve();
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is that of a store on a disk
  async *list(): AsyncIterable<BlobId> {
    yield* [...this.#medium.blobs.keys()];
  }

  /** A partial blob in memory has no age; those that nobody has open are all old. */
  sweepPartials(): Promise<number> {
    const idle = [...this.#medium.partials.keys()].filter((name) => !this.#openPartials.has(name));
    for (const name of idle) this.#medium.partials.delete(name);
    return Promise.resolve(idle.length);
  }

  #get(id: BlobId): Uint8Array {
    const bytes = this.#medium.blobs.get(id);
    if (bytes === undefined) throw new FedLoraError("blob-not-found", `blob ${id} does not exist`);
    return bytes;
  }
}

class MemoryPartial implements PartialBlob {
  readonly #id: BlobId;
  readonly #state: MemoryPartialState;
  readonly #medium: MemoryMedium;
  readonly #forget: (keep: boolean) => void;
  readonly #isStored: boolean;

  constructor(
    id: BlobId,
    state: MemoryPartialState,
    isStored: boolean,
    medium: MemoryMedium,
    forget: (keep: boolean) => void,
  ) {
    this.#id = id;
    this.#state = state;
    this.#isStored = isStored;
    this.#medium = medium;
    this.#forget = forget;
  }

  get nextOffset(): number {
    return this.#state.nextOffset;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async append(offset: number, chunk: Uint8Array, sha256: Uint8Array): Promise<number> {
    const { bytes, digests, nextOffset } = this.#state;
    const expected = Math.min(chunkBytes, bytes.byteLength - nextOffset);
    if (offset !== nextOffset || chunk.byteLength !== expected || expected === 0) {
      const message = `chunk of ${chunk.byteLength} bytes at offset ${offset}: ${expected} at ${nextOffset} come next`;
      throw new FedLoraError("chunk-offset-invalid", message, { details: { nextOffset: String(nextOffset) } });
    }
    bytes.set(chunk, offset);
    digests.push(Uint8Array.from(sha256));
    this.#state.nextOffset += chunk.byteLength;
    return this.#state.nextOffset;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async commit(): Promise<BlobId> {
    if (this.#isStored) return this.#id;
    const { bytes, digests, nextOffset } = this.#state;
    if (nextOffset !== bytes.byteLength) {
      throw new FedLoraError("chunk-offset-invalid", `${nextOffset} of ${bytes.byteLength} bytes have arrived`, {
        details: { nextOffset: String(nextOffset) },
      });
    }
    this.#forget(false);
    const id = idOf(digests);
    if (id !== this.#id) {
      throw new FedLoraError("blob-hash-mismatch", `the chunks make blob ${id}, ${this.#id} was announced`);
    }
    this.#medium.blobs.set(id, bytes);
    return id;
  }

  release(): Promise<void> {
    this.#forget(true);
    return Promise.resolve();
  }

  discard(): Promise<void> {
    if (!this.#isStored) this.#forget(false);
    return Promise.resolve();
  }
}

function idOf(digests: readonly Uint8Array[]): BlobId {
  return blobIdOfChunks(digests, () => createHash("sha256"));
}

function plainCopy(event: JournalEvent): JournalEvent {
  return JSON.parse(JSON.stringify(event)) as JournalEvent;
}
