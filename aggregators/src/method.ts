import type {
  AdapterSpec,
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
  /** Families of update codecs. */
  readonly codecs: readonly string[];
  readonly variants: readonly AdapterVariant[];
  /** Whether the coordinator may put an optimizer step on the aggregated change. */
  readonly serverOptimizers: boolean;
  /** Client options (FedProx, SCAFFOLD) that leave the method sound. */
  readonly clientOptions: readonly ("proximal" | "control-variates")[];
  /** How noise on the update enters the effective weight: linearly (one factor travels), or multiplied with itself. */
  readonly noise: "linear" | "products";
  readonly privacyUnits: readonly ("example" | "client")[];
  readonly weightings: readonly ("uniform" | "by-examples")[];
  readonly evaluation: "global" | "per-client";
}

/** Form of the adapter: what is trained between W0 and the output (`latent`: B R A), and how it is scaled. */
export type AdapterVariant = AdapterSpec["variant"] | "rslora";

/** Fixed for a run. */
export interface MethodRun {
  readonly spec: RunSpec;
  /**
   * Scaling of each adapted module by its name without `base_model.model.`; every client's, whatever its own rank. A
   * module that is missing counts as 1 (tests of methods that do not care).
   */
  readonly scalings: Readonly<Record<string, number>>;
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
  /**
   * The planner's rank of each adapted module, by its name without `base_model.model.`; a module that is missing is not
   * held. Undefined: every module at full rank.
   */
  readonly ranks: Readonly<Record<string, number>> | undefined;
  readonly directives: readonly string[];
  readonly codecs: readonly string[];
}

/** What one client is told; equal values are shared by hash. */
export interface ClientInstruction {
  /**
   * Tensors by PEFT's names, shapes at this client's rank. The global value of one that is not downloaded travels in a blob
   * per kind of tensor, cached by hash for as long as it does not change (`hashedTensors`): frozen, or trained by turns,
   * or kept by the client, for whom it is the value to start from.
   */
  readonly roles: TensorRoles;
  readonly updateForm: UpdateForm;
  readonly directives: readonly Directive[];
  readonly keepOptimizerState: boolean;
  /** Codec of the update; undefined: the run's. */
  readonly codec?: string | undefined;
  /** Codec of the download; undefined: f32. */
  readonly downloadCodec?: string | undefined;
  /** Whether the client adds what a lossy codec lost to its next update; undefined: as the run says. */
  readonly errorFeedback?: boolean | undefined;
}

/** State that a method wants kept on the client, and what happens without it. */
export interface ClientStateDeclaration {
  readonly tensors: TensorLayout;
  readonly scope: "run" | "round";
  readonly whenLost: "start-from-global" | "start-from-init" | "sit-out";
  readonly newcomers: "none" | "warm-up";
}

export interface IntakeRule {
  /** Exactly what the update must hold, as it travels: `encodedLayout` of the uploaded tensors in the codec. */
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
  /** Optimizer steps that the client took. */
  readonly numSteps: number;
  /** Rounds between the adapter that it started from and this round's; 0 in a synchronous round. */
  readonly staleness: number;
  /** Where the method asked for it by the directive `received-loss`. */
  readonly receivedLoss: number | undefined;
  /** Shape of a tensor that the update holds (clients may differ in rank and depth); undefined: it holds none. */
  shape(name: string): readonly number[] | undefined;
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
  /**
   * The server optimizer, put between the mean and what is sent: methods that allow one pass the aggregated adapter
   * through it (all tensors that were uploaded) before they compute anything that depends on what is sent. Absent: none.
   */
  readonly serverStep?: ((aggregated: StateDict) => StateDict) | undefined;
  /**
   * What the updates weigh over what they would weigh if none were stale, 0 to 1; absent: 1. FedBuff divides by the number
   * of updates, not by their discounted weights, so the mean change is damped by this share.
   */
  readonly freshness?: number | undefined;
  /** Takes a base delta tensor by tensor; methods that edit the base write there and hold nothing. */
  readonly sink: TensorSink;
}

/** Receives tensors too many for memory; what it holds becomes a safetensors blob. */
export interface TensorSink {
  /** Before the first write, once: every tensor that will be written, in canonical order. */
  open(layout: TensorLayout): void;
  /** Values of a tensor from flat index `at` on (default 0); each element is written once. */
  write(name: string, values: Float32Array, at?: number): void;
}

/** Read by the stages after the passes. */
export type SealedPasses = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

export interface Aggregation {
  readonly passes: readonly AggregationPass[];
  /**
   * The ordered stages combine, release, server step, cast to wire, residual: pure, after the last pass. It may ask for
   * more passes, which then know what these found (a residual against the factors as sent).
   */
  finish(sealed: SealedPasses): AggregationResult | ContinuedAggregation;
}

export interface ContinuedAggregation {
  readonly kind: "continue";
  readonly next: Aggregation;
}

export type AggregationResult =
  | {
      readonly kind: "adapter";
      /** The new global adapter, F32. */
      readonly global: StateDict;
      readonly state: MethodRunState;
      /** The change of the base weights that was written to the sink. */
      readonly baseDelta: BaseDelta | undefined;
      /** For the round's summary: names are fixed per method, values finite. */
      readonly metrics: Readonly<Record<string, number>>;
    }
  | { readonly kind: "refused"; readonly code: "round-failed"; readonly message: string };

/**
 * A versioned change to base weights, the adapter's scaling folded in. Its tensors, by module name M: factored,
 * `base_model.model.M.delta_A.weight` [rank, dIn] and `base_model.model.M.delta_B.weight` [dOut, rank], W += delta_B
 * delta_A; or dense, `base_model.model.M.delta.weight` [dOut, dIn], W += delta.
 */
export interface BaseDelta {
  readonly fromVersion: number;
  readonly toVersion: number;
}

/** Closed-form bytes per client and round. */
export interface ByteCount {
  readonly down: number;
  readonly up: number;
}

/**
 * A PEFT adapter on the base model as it was downloaded. Where the run changed the base: an adapter of a higher rank that
 * holds the change, one of the run's rank with the error of what it leaves out, or the merged weights.
 */
export type ExportForm = "peft" | "stacked" | "truncated" | "merged";

export interface Method {
  readonly definition: MethodDefinition;
  initialState(): MethodRunState;
  /** The round's phase by name; most methods have one, `train`. */
  phase(state: MethodRunState, round: RoundNumber): string;
  prepare(phase: string, state: MethodRunState, client: ClientCapability): ClientInstruction;
  clientState(): ClientStateDeclaration | undefined;
  intake(instruction: ClientInstruction, baseVersion: number): IntakeRule;
  aggregate(input: AggregationInput): Aggregation;
  /** What this client downloads: exactly the tensors whose role says so, in the role's shapes. */
  projectFor(instruction: ClientInstruction, global: StateDict, state: MethodRunState): StateDict;
  /** Per round, without base deltas, whose size depends on the round's contributors: see `baseDeltaBytes`. */
  bytes(instruction: ClientInstruction): ByteCount;
  /** Bytes of the round's base delta for m contributors; absent for methods that leave the base alone. */
  baseDeltaBytes?(contributors: number): number;
  /** Whether base deltas stay in factors even where a matrix is smaller; absent: no. */
  readonly factoredDeltas?: boolean;
  /** Forms that `fedlora export` may write, the first is the default. */
  exports(state: MethodRunState): readonly ExportForm[];
  /** The global adapter as a plain LoRA pair per module (`lora_A`, `lora_B`) and heads; absent: it is that already. */
  toPlainLora?(global: StateDict, state: MethodRunState): StateDict;
  /** How the aggregation bias is measured, or why it cannot be. */
  readonly bias:
    | { readonly kind: "measured"; readonly metric: string }
    | { readonly kind: "none" | "unmeasurable"; readonly why: string };
}
