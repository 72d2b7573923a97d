import type { BaseDelta, MethodRunState, ReleaseTerms } from "@fedlora/aggregators";
import type { BlobId, ClientId, RoundNumber, RunSpec, TensorLayout } from "@fedlora/core";

/**
 * One round's aggregation as plain data: it crosses a thread, and the same job gives the same bytes on any machine.
 * The round driver builds it at round close from what the journal holds.
 */
export interface AggregationJob {
  /** Method name and options are read from `spec.method`. */
  readonly spec: RunSpec;
  /** Every adapter tensor at full rank (PEFT names, F32), in canonical order. */
  readonly adapterLayout: TensorLayout;
  /** Scaling of each adapted module, by name. */
  readonly scalings: Readonly<Record<string, number>>;
  readonly round: RoundNumber;
  /** `method.phase(state, round)`. */
  readonly phase: string;
  /** What the method kept from the round before; `method.initialState()` in round 1. */
  readonly state: MethodRunState;
  /** The global adapter that the clients started from: canonical safetensors, F32. */
  readonly global: BlobFile;
  readonly baseVersion: number;
  /** The accepted updates; their order changes no bit of the result. */
  readonly updates: readonly UpdateFile[];
  /** Under client-level privacy: what the method sees of the updates instead of them. */
  readonly release?: ReleaseTerms | undefined;
  /** Where a base delta is written, as a safetensors file; the file is made only if the method edits the base. */
  readonly deltaPath: string;
  /** Earlier changes of the base weights that are to be joined into one; absent: none. */
  readonly join?: BaseJoin | undefined;
}

/** Successive base deltas, and the safetensors file that their sum is written to. */
export interface BaseJoin {
  /** Oldest first. */
  readonly deltas: readonly BlobFile[];
  readonly path: string;
}

/** A stored blob as whoever aggregates reads it. */
export interface BlobFile {
  readonly blobId: BlobId;
  /** `BlobStore.path(id)`; a mere name in errors where there are `bytes`. */
  readonly path: string;
  /** `BlobStore.bytes(id)`: the blob where no file holds it. */
  readonly bytes?: Uint8Array | undefined;
}

export interface UpdateFile extends BlobFile {
  /** The plan id: unique per update, names it in errors. */
  readonly id: string;
  readonly clientId: ClientId;
  /** What the update holds: its uploaded tensors decoded, in the client's shapes, and the codec that they travelled in. */
  readonly layout: TensorLayout;
  readonly codec: string;
  readonly numSteps: number;
  readonly staleness: number;
  readonly receivedLoss: number | undefined;
  /** Unnormalised: `updateWeight(spec.weighting, numExamples)` times the intake rule's `staleWeight`; finite, >= 0. */
  readonly weight: number;
  /** The weight before any discount for staleness. */
  readonly fullWeight: number;
  readonly numExamples: number;
}

export type AggregationOutcome =
  | {
      readonly kind: "adapter";
      /** The new global adapter: canonical safetensors, F32. `BlobStore.put` it as it is. */
      readonly global: Uint8Array;
      readonly state: MethodRunState;
      readonly baseDelta: BaseDelta | undefined;
      /** For `RoundSummary.methodMetrics`. */
      readonly metrics: Readonly<Record<string, number>>;
      /** See `Release`; absent where it is not released. */
      readonly unclippedShare?: number | undefined;
    }
  /** The method cannot go on from these updates (none, or no weight); the round fails, the adapter stays. */
  | { readonly kind: "refused"; readonly code: "round-failed"; readonly message: string };

/**
 * Runs jobs off the event loop.
 *
 * Throws `blob-hash-mismatch` (a stored file is not what its id says; `details.blobId`, `details.updateId`),
 * `blob-not-found`, `safetensors-invalid`, `update-tensor-missing`, `update-shape`, `update-not-finite`,
 * `update-weight`, `update-conflict` (an id twice), `method-unknown`, `method-options-invalid`, and `cancelled` when the signal aborts.
 */
export interface AggregationRunner {
  run(job: AggregationJob, signal?: AbortSignal): Promise<AggregationOutcome>;
  /** Ends the worker threads; running jobs reject with `cancelled`. */
  close(): Promise<void>;
}
