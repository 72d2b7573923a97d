import type { BlobId } from "@fedlora/core";

/**
 * The journal: an append-only sequence of facts. Implementations run `storage-contract.ts`.
 *
 * MUST: `append` resolves only when the events are durable (a power loss after it loses nothing); `expectedSequence` is
 * the sequence of the last event the caller knows, else `journal-sequence`; an `epoch` lower than the newest opened one
 * is refused with `storage-fenced`; events are plain JSON values; sequences start at 1 and have no gaps; a torn tail is
 * cut off at open and reported; a damaged record before the tail is `journal-corrupt`.
 */
export interface Journal {
  /** Sequence of the last durable event; 0 when empty. */
  readonly sequence: number;
  /** The fencing epoch that this opening raised. */
  readonly epoch: number;
  append(expectedSequence: number, epoch: number, events: readonly JournalEvent[]): Promise<number>;
  /** Events with a sequence above `after`, in order. */
  read(after: number): AsyncIterable<StoredEvent>;
  /** A value that makes replay before `sequence` unnecessary; replaces the earlier snapshot of that name, atomically. */
  writeSnapshot(name: string, snapshot: Snapshot): Promise<void>;
  readSnapshot(name: string): Promise<Snapshot | undefined>;
  /**
   * Events up to and including `before` are not needed for a replay any more: they may be removed, oldest first. What is
   * kept for the audit is the implementation's affair; `read` then starts at the oldest event that is left.
   */
  trim(before: number): Promise<void>;
  close(): Promise<void>;
}

export type JournalEvent = { readonly type: string; readonly runId?: string } & Readonly<Record<string, unknown>>;

export interface StoredEvent {
  readonly sequence: number;
  readonly epoch: number;
  readonly event: JournalEvent;
}

export interface Snapshot {
  readonly sequence: number;
  readonly reducerVersion: number;
  readonly value: unknown;
}

/**
 * Content-addressed blobs. MUST: a blob is visible under its id only when its bytes, its name and its folder are durable
 * (write, fdatasync, rename, directory fsync); `commit` checks the hash; `read` never returns more than asked.
 */
export interface BlobStore {
  has(id: BlobId): Promise<boolean>;
  size(id: BlobId): Promise<number>;
  /**
   * Bytes [offset, offset + length) of a blob; throws `blob-not-found`, `blob-range-invalid`. A store of files reads into
   * `into` where it is large enough and returns a view of it: who reads much need not take new memory each time.
   */
  read(id: BlobId, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Local path for workers that read tensor by tensor; undefined where the store has no files. */
  path(id: BlobId): string | undefined;
  /** The blob itself where the store holds it in memory, not to be changed; absent, or undefined: it does not. */
  bytes?(id: BlobId): Uint8Array | undefined;
  /** Where a worker may write a file that is stored or removed afterwards; what a crash leaves there goes at the next opening. */
  scratchPath(): string;
  /** Stores bytes that are in memory already. */
  put(bytes: Uint8Array): Promise<BlobId>;
  /** Opens a partial blob, or the one that an earlier process left: verified bytes survive a restart. */
  openPartial(key: string, id: BlobId, size: number): Promise<PartialBlob>;
  delete(id: BlobId): Promise<void>;
  list(): AsyncIterable<BlobId>;
  /** Removes partial blobs that were not written to for `olderThanMs`. */
  sweepPartials(olderThanMs: number): Promise<number>;
}

export interface PartialBlob {
  /** Next offset to write; everything before it was verified, chunk by chunk. */
  readonly nextOffset: number;
  /**
   * Appends one chunk (all but the last are 256 KiB) that the caller has checked against `sha256`; it is not hashed again. The
   * store may hold on to `chunk` until a later `append`, `commit` or `release` returns, and reports a failed write there.
   * Throws `chunk-offset-invalid`, `storage-full`.
   */
  append(offset: number, chunk: Uint8Array, sha256: Uint8Array): Promise<number>;
  /** Checks the id against the chunk hashes, makes the blob durable and visible. */
  commit(): Promise<BlobId>;
  /** Keeps the bytes for a later `openPartial` and releases the file handle. */
  release(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * Small secrets that have to go for good one day, as nothing in a journal or a snapshot does; those name them. MUST: `put`
 * resolves only when the bytes are durable; after `erase` no read gives them, by any later opening. Names are of lower-case
 * letters, digits and hyphens, at most 64.
 */
export interface SecretStore {
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Undefined where there is none of that name. */
  read(name: string): Promise<Uint8Array | undefined>;
  erase(name: string): Promise<void>;
  /** Erases all but those. */
  eraseExcept(names: ReadonlySet<string>): Promise<void>;
}

export interface Storage {
  readonly journal: Journal;
  readonly blobs: BlobStore;
  readonly secrets: SecretStore;
  /** Whether writes are possible now (disk space, lock), for readiness. */
  healthy(): Promise<boolean>;
  close(): Promise<void>;
}
