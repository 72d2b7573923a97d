import type { StateDict } from "@fedlora/core";
import type { ArtifactRef } from "./artifact.js";

/** A dense host array that crosses the engine's door. */
export interface HostTensor {
  readonly dtype: "F32" | "I32";
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/**
 * One open graph on one engine. Implemented by ONNX Runtime (cpu, webgpu, cuda, ...), onnxruntime-web and the eager
 * TensorFlow.js backends; all take and give the names of the artifact's manifest.
 */
export interface StepExecutor {
  /** A result's data may be overwritten by the next run; a feed is recognised by its object, so keep what is reused. */
  run(feeds: ReadonlyMap<string, HostTensor>, fetches: readonly string[]): Promise<ReadonlyMap<string, HostTensor>>;
  dispose(): Promise<void>;
}

export type EngineName =
  | "onnxruntime-cpu"
  | "onnxruntime-webgpu"
  | "onnxruntime-cuda"
  | "onnxruntime-web"
  | "tfjs-node-gpu"
  | "tfjs-node"
  | "tfjs-wasm"
  | "tfjs-cpu";

export interface EngineOptions {
  /** `auto` measures what is there, see `docs/reference/engine.md`. */
  readonly engine: EngineName | "auto";
  /** Threads within an operation; default: the cores of the machine. */
  readonly threads?: number;
  /** Weights are packed twice for 6 % more speed; default false. */
  readonly prepack?: boolean;
}

/** What it takes to open one graph on one engine. */
export interface ExecutorRequest {
  readonly artifact: ArtifactRef;
  /** Canonical weights file of the base model. */
  readonly weightsFile: string;
  readonly engine: EngineName;
  readonly threads: number;
  readonly prepack: boolean;
  /** Path prefix of the runtime's profile; absent: no profile. */
  readonly profilePrefix?: string;
}

/** A loaded engine: what its results depend on, for the fingerprint and `fedlora doctor`. */
export interface EngineDescription {
  /** Package and version: `onnxruntime-node 1.30.0`. */
  readonly version: string;
  /** Settings that change bits, in a fixed order: `prepack=0`. */
  readonly settings: string;
}

/** One plain product [m, k] x [k, n] in F32, kept open so that it can be timed. */
export interface ProductRunner {
  /** Runs it once, until the result is there. */
  run(): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * A family of engines. `runtime/` exports one for ONNX Runtime, `eager/index.ts` one for TensorFlow.js named
 * `eagerBackend`; whoever composes an engine imports the one it needs, dynamically.
 */
export interface EngineBackend {
  /** Loads the package. Throws `engine-unavailable` with the reason where it cannot. */
  describe(engine: EngineName, options: { readonly prepack: boolean }): Promise<EngineDescription>;
  /** Throws `artifact-invalid` for a damaged artifact, `engine-failed` where the runtime refuses it. */
  open(request: ExecutorRequest): Promise<StepExecutor>;
  openProduct(engine: EngineName, m: number, k: number, n: number, threads: number): Promise<ProductRunner>;
}

export interface OptimizerSettings {
  /** AdamW, or plain SGD with `momentum` (then betas and epsilon do nothing). */
  readonly kind: "adamw" | "sgd";
  /** Default 0. */
  readonly momentum?: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** HetLoRA: adds lambda * ||B[:, from:]||_F * ||A[from:, :]||_F of one module to the loss. */
export interface TailPenalty {
  /** Names of the slot's tensors A [rank, dIn] and B [dOut, rank]. */
  readonly a: string;
  readonly b: string;
  /** First rank of the tail. */
  readonly from: number;
  readonly lambda: number;
}

export interface SlotSpec {
  /** Adapter tensors (PEFT names, F32): trained ones, and those that are only applied. */
  readonly tensors: StateDict;
  readonly trained: readonly string[];
  readonly scalings: Readonly<Record<string, number>>;
  /** Values of a graph's inputs of role `base-delta`, by their tensors' names, in exactly their shapes, F32. */
  readonly baseDelta?: StateDict;
  /** Added to the gradients of trained tensors at every step, after clipping (SCAFFOLD's c - c_k); absent: nothing. */
  readonly gradientOffsets?: StateDict;
  /** Their gradients are added at every step, before clipping. */
  readonly tailPenalties?: readonly TailPenalty[];
  /** undefined: a slot for evaluation only. */
  readonly optimizer: OptimizerSettings | undefined;
}

export interface StepRequest {
  readonly artifact: ArtifactRef;
  /** Canonical weights file of the base model. */
  readonly weightsFile: string;
  readonly slot: string;
  /** Everything but what the slot holds: tokens, mask, labels, loss weights. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /**
   * For artifacts in per-example mode: each example's gradient is clipped before it is added, and the next `apply` must
   * bring noise. Absent: the examples' gradients are added as they are.
   */
  readonly exampleClipping?: ExampleClipping;
}

/** How one example's gradient is brought to an L2 norm of at most `clipNorm` over all trained tensors. */
export interface ExampleClipping {
  /**
   * `flat`: scaled by min(1, clipNorm / norm) (Abadi et al. 2016, algorithm 1). `per-layer`: the same within each of the L
   * modules that have trained tensors, to clipNorm / sqrt(L) each (McMahan et al. 2018). `automatic`: scaled by
   * clipNorm / (norm + 0.01), whatever the norm (AUTO-S, Bu et al. 2023).
   */
  readonly kind: "flat" | "per-layer" | "automatic";
  /** Above 0. */
  readonly clipNorm: number;
}

/** What makes a sum of clipped gradients private. */
export interface GradientNoise {
  /** 32 bytes that nobody else knows, fresh for every step: the seed of the noise. */
  readonly key: Uint8Array;
  /** Standard deviation of the noise on every element of the sum; above 0. */
  readonly std: number;
  /** What the noised sum is divided by: the expected size of a batch, never the realised one. */
  readonly divisor: number;
}

export interface ApplyRequest {
  readonly slot: string;
  /** Learning rate per trained tensor. */
  readonly learningRates: Readonly<Record<string, number>>;
  /** Clip the norm over all gradients; undefined: no clipping. */
  readonly maxGradNorm: number | undefined;
  /** FedProx: gradient += mu * (w - anchor); the anchor is the slot's value at creation. */
  readonly proximalMu: number | undefined;
  /** Trained tensors that this step leaves as they are, their moments too; their gradients count for no norm. */
  readonly held?: readonly string[];
  /**
   * Noise on the sum of the clipped gradients since the last `apply`, none at all included (an empty Poisson batch). It
   * comes first; what `maxGradNorm`, `proximalMu` and the slot's penalties and offsets do then sees the noised sum only.
   */
  readonly noise?: GradientNoise;
}

/**
 * An engine in its own process (or Web Worker). A slot is one client's adapter with its gradient buffer and optimizer
 * state; many slots share the open graphs, of which at most three stay open. A call takes effect between steps; `close`
 * with `hard` kills the process.
 */
export interface TrainingEngine {
  readonly name: EngineName;
  /** Runtime version, provider, instruction set and session options: equal fingerprints give equal bits. */
  readonly fingerprint: string;
  createSlot(spec: SlotSpec): Promise<string>;
  /** Values after training, names in canonical order. */
  readSlot(slot: string): Promise<StateDict>;
  writeSlot(slot: string, tensors: StateDict): Promise<void>;
  /** The optimizer's moments and step count, to keep from round to round. */
  readOptimizer(slot: string): Promise<StateDict>;
  writeOptimizer(slot: string, state: StateDict): Promise<void>;
  releaseSlot(slot: string): Promise<void>;
  /** Runs forward and backward and adds the gradients to the slot's buffer. */
  accumulate(request: StepRequest, signal?: AbortSignal): Promise<{ readonly loss: number; readonly stepMs: number }>;
  /**
   * The sum of the gradients added since the last `apply`, by trained tensor, F32; the buffer is empty then. Throws
   * `request-invalid` where nothing was accumulated, `privacy-invalid` where the gradients were clipped (they leave with
   * noise, by `apply`), `update-not-finite` where a gradient is not finite.
   */
  takeGradients(slot: string): Promise<StateDict>;
  /**
   * Clips, updates the slot's tensors and clears the buffer. Throws `update-not-finite` where a gradient is not finite, and
   * `privacy-invalid` for clipped gradients without noise or noise of deviation 0.
   */
  apply(request: ApplyRequest): Promise<{ readonly gradNorm: number }>;
  /** Forward only; returns the outputs asked for. */
  infer(
    request: StepRequest & { readonly outputs: readonly string[] },
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, HostTensor>>>;
  memory(): Promise<{ readonly rssBytes: number; readonly peakRssBytes: number }>;
  close(options?: { readonly hard?: boolean }): Promise<void>;
}
