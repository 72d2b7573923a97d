import type { PlanId } from "@fedlora/core";
import type { Identity } from "../identity.js";
import type { BlobCache, PartialBlob } from "../transfer/blob-cache.js";
import type { PrivacyLedger } from "../privacy/ledger.js";
import type { AdapterStore } from "./adapter-store.js";
import type { BaseChains } from "./base-chains.js";
import type { RunTensors } from "./run-tensors.js";
import type { WorkJournal } from "./work-journal.js";

/** A class as others see it, so that something else may stand in its place. */
type Visible<T> = Pick<T, keyof T>;

/** An update that is finished, open for reading. */
export interface OpenUpdate {
  /** Exactly `length` bytes from `offset` on. Throws `file-invalid` where there are not so many. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Updates that are finished and not yet accepted, by their plans. */
export interface FinishedUpdates {
  /** Durable when it resolves. */
  save(planId: PlanId, bytes: Uint8Array): Promise<void>;
  open(planId: PlanId): Promise<OpenUpdate>;
  /** Throws `file-invalid` for bytes that are not the blob `id` any more. */
  assertIntact(planId: PlanId, id: string): Promise<void>;
}

/** A download under way, see `PartialBlob`. */
export interface PartialDownload extends Omit<Visible<PartialBlob>, "append"> {
  /** @param sha256 the chunk's digest, which the caller has held against its bytes */
  append(chunk: Uint8Array, sha256: Uint8Array): Promise<void>;
}

/** Downloads by content hash, see `BlobCache`. */
export interface DownloadCache extends Pick<BlobCache, "read" | "file"> {
  openPartial(ref: Parameters<BlobCache["openPartial"]>[0]): Promise<PartialDownload>;
}

/**
 * What a client remembers between two plans, and from start to start: a folder on disk (`StateFolder`), or a place in memory
 * for one of a simulation's thousands of clients.
 */
export interface ClientState {
  readonly identity: Identity;
  readonly journal: Visible<WorkJournal>;
  readonly updates: FinishedUpdates;
  readonly cache: DownloadCache;
  readonly runs: Visible<RunTensors>;
  readonly adapters: Visible<AdapterStore>;
  readonly baseChains: Visible<BaseChains>;
  /** What was released about the owner's data, over all runs. */
  readonly ledger: Visible<PrivacyLedger>;
  /** Compares the key with the one that is pinned for the address, or pins it. Throws `coordinator-untrusted`. */
  pinCoordinatorKey(address: string, key: Uint8Array): Promise<void>;
  /** Removes what was staged for other plans: left by a crash, or answered. */
  removeWorkExcept(planId: PlanId | undefined): Promise<void>;
}
