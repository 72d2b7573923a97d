import type {
  BlobId,
  ClientId,
  Directive,
  RoundNumber,
  RunSpec,
  StateDict,
  TensorLayout,
  TensorRoles,
  UpdateForm,
} from "@fedlora/core";
import type { z } from "zod";

/**
 * What an aggregation method is: one file that declares, as data, what clients do and what the coordinator may accept,
 * and that aggregates, purely: no clock, no I/O, no global random source.
 */
export interface MethodDefinition<Options = unknown> {
  /** kebab-case, unique in the registry. */
  readonly name: string;
  /** Counts up when the meaning of a plan or a run state changes. */
  readonly version: number;
  readonly paper: string;
  readonly summary: string;
  readonly optionsSchema: z.ZodType<Options>;
  readonly capabilities: MethodCapabilities;
  /** The method bound to its options and to what is fixed for the run. */
  create(options: Options, run: MethodRun): Method;
}

export interface MethodCapabilities {
  /** What the coordinator must see: one weighted sum, several, or each update. `individual-updates` excludes secure sums. */
  readonly sees: "sum" | "several-sums" | "individual-updates";
  /** Whether the aggregate equals the mean of the clients' effective weights. */
  readonly exact: boolean;
  readonly ranks: "equal" | "prefix" | "depth" | "any";
  readonly editsBase: boolean;
  readonly toleratesStale: boolean;
  readonly mergeable: boolean;
  readonly personal: boolean;
  readonly codecs: readonly string[];
  readonly variants: readonly string[];
  readonly privacyUnits: readonly ("example" | "client")[];
  readonly weightings: readonly ("uniform" | "by-examples")[];
  readonly evaluation: "global" | "per-client";
}

/** Fixed for a run. */
export interface MethodRun {
  readonly spec: RunSpec;
  /** Every adapter tensor at full rank (PEFT names, F32), in canonical order. */
  readonly adapterLayout: TensorLayout;
}

/** Plain values and named tensors that a method keeps from round to round (moments, controls, masks). Journaled by hash. */
export interface MethodRunState {
  readonly version: number;
  readonly values: Readonly<Record<string, number | string | boolean>>;
  readonly tensors: StateDict;
}

/** What prepare may know of one client. */
export interface ClientCapability {
  readonly clientId: ClientId;
  readonly maxRank: number | undefined;
  readonly directives: readonly string[];
  readonly codecs: readonly string[];
}

/** What one client is told; equal values are shared by hash. */
export interface ClientInstruction {
  readonly roles: TensorRoles;
  readonly updateForm: UpdateForm;
  /** Frozen tensors shared by hash. */
  readonly frozen: readonly BlobId[];
  readonly directives: readonly Directive[];
  readonly keepOptimizerState: boolean;
}

/** State that a method wants kept on the client, and what happens without it. */
export interface ClientStateDeclaration {
  readonly tensors: TensorLayout;
  readonly scope: "run" | "round";
  readonly whenLost: "start-from-global" | "start-from-init" | "sit-out";
  readonly newcomers: "none" | "warm-up";
}

export interface IntakeRule {
  /** Exactly what the update must hold, with the dtype of the run's codec. */
  readonly layout: TensorLayout;
  /** L2 bound over all tensors; undefined: none. */
  readonly maxNorm: number | undefined;
  readonly requiredBaseVersion: number;
  /** Factor on the weight of an update that is `staleness` rounds old; 0 refuses it. */
  staleWeight(staleness: number): number;
}

/** One accepted update, read tensor by tensor: never all of it in memory. */
export interface UpdateView {
  /** Stable order key: folding must not depend on it, logs may show it. */
  readonly id: string;
  readonly clientId: ClientId;
  /** Unnormalised weight, >= 0: from the run's weighting, times the stale weight. */
  readonly weight: number;
  readonly numExamples: number;
  /** The decoded values as float32; throws `update-tensor-missing`. The array is only valid until the next call. */
  tensor(name: string): Float32Array;
}

/** Tensors that are folded together, usually one module's. */
export interface TensorGroup {
  readonly name: string;
  readonly tensors: TensorLayout;
}

/**
 * One sweep over the stored updates, group by group: `init` once per group (and per shard), `fold` once per update,
 * `merge` joins partial states of disjoint shards, `seal` ends the group. The result must not depend, in any bit, on the
 * order of folds or on the sharding.
 */
export interface AggregationPass<State = unknown, Sealed = unknown> {
  readonly name: string;
  readonly groups: readonly TensorGroup[];
  init(group: TensorGroup): State;
  fold(state: State, update: UpdateView, group: TensorGroup): void;
  merge(into: State, other: State): void;
  seal(state: State, group: TensorGroup): Sealed;
  /** Bytes of one group's state, for the memory plan. */
  stateBytes(group: TensorGroup): number;
}

export interface AggregationInput {
  readonly round: RoundNumber;
  readonly phase: string;
  readonly state: MethodRunState;
  /** The global adapter that the clients started from. */
  readonly global: StateDict;
  readonly baseVersion: number;
  /** `sum` when updates arrive only as sums (secure aggregation): metrics that need each update are left out. Default: each. */
  readonly visible?: "sum" | "individual-updates";
}

/** Read by the stages after the passes. */
export type SealedPasses = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

export interface Aggregation {
  readonly passes: readonly AggregationPass[];
  /** The ordered stages combine, release, server step, cast to wire, residual: pure, after the last pass. */
  finish(sealed: SealedPasses): AggregationResult;
}

export type AggregationResult =
  | {
      readonly kind: "adapter";
      /** The new global adapter, F32. */
      readonly global: StateDict;
      readonly state: MethodRunState;
      readonly baseDelta: BaseDelta | undefined;
      /** For the round's summary: names are fixed per method, values finite. */
      readonly metrics: Readonly<Record<string, number>>;
    }
  | { readonly kind: "refused"; readonly code: "round-failed"; readonly message: string };

/** A versioned change to base weights. */
export interface BaseDelta {
  readonly fromVersion: number;
  readonly toVersion: number;
  readonly tensors: StateDict;
}

/** Closed-form bytes per client and round. */
export interface ByteCount {
  readonly down: number;
  readonly up: number;
}

export interface Method {
  readonly definition: MethodDefinition;
  initialState(): MethodRunState;
  /** The round's phase by name; most methods have one, `train`. */
  phase(state: MethodRunState, round: RoundNumber): string;
  prepare(phase: string, state: MethodRunState, client: ClientCapability): ClientInstruction;
  clientState(): ClientStateDeclaration | undefined;
  intake(instruction: ClientInstruction, baseVersion: number): IntakeRule;
  aggregate(input: AggregationInput): Aggregation;
  /** What this client downloads of the global adapter. */
  projectFor(instruction: ClientInstruction, global: StateDict): StateDict;
  /** Base deltas that bring a client from a version to the current one; empty for methods that leave the base alone. */
  catchUp(fromVersion: number, state: MethodRunState): readonly BlobId[];
  bytes(instruction: ClientInstruction): ByteCount;
  /** Forms that `fedlora export` may write, the first is the default. */
  exports(state: MethodRunState): readonly ("peft" | "merged" | "truncated")[];
  /** How the aggregation bias is measured, or why it cannot be. */
  readonly bias:
    | { readonly kind: "measured"; readonly metric: string }
    | { readonly kind: "none" | "unmeasurable"; readonly why: string };
}
