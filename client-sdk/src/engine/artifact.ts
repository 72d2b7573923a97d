import type { BaseModelHash, TaskSpec, TensorLayout } from "@fedlora/core";
import type { AdapterForm, AdapterKind } from "./adapter-form.js";

/**
 * What a compiled graph is for. `train` yields the loss and gradients, `activation-sketch` gradients of another kind: A of
 * each adapted module gets A X^T X over the module's inputs X at all real tokens of the rows. The others run forward only.
 */
export type ArtifactPurpose = "train" | "activation-sketch" | "evaluate" | "generate" | "embed";

/** One module with a LoRA adapter in the graph. */
export interface AdaptedModule {
  /** Canonical module name, as in the model's manifest. */
  readonly name: string;
  /** Rank of the tensors in the graph; the adapter's may be lower: the runtime fills up with zeros, which change nothing. */
  readonly rank: number;
  /** False below the trained depth: applied in the forward pass, without gradients. */
  readonly trained: boolean;
  /** `latent`: W + s B R A; `vera`: W + s diag(b) B diag(d) A; absent: `lora`, W + s B A. */
  readonly form?: Exclude<AdapterForm, "lora">;
  /**
   * Kinds of a trained module's tensors that get gradients; the others are applied only. Absent: what its form trains
   * (`lora`: A and B, `latent`: R, `vera`: both vectors).
   */
  readonly gradients?: readonly AdapterKind[];
}

/** Everything that determines a graph; its canonical JSON's hash is the artifact's key. */
export interface ArtifactRequest {
  readonly baseModelHash: BaseModelHash;
  readonly family: string;
  /** The model's config.json as a value; the family parses it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly purpose: ArtifactPurpose;
  readonly task: TaskSpec | { readonly kind: "embedding" };
  readonly batch: number;
  /** Tokens per row: the length bucket. */
  readonly length: number;
  readonly adapted: readonly AdaptedModule[];
  /** Modules trained in full (`classifier`), by canonical name. */
  readonly modulesToSave: readonly string[];
  readonly privacy: "none" | "per-example";
  readonly memory: "plain" | "recompute";
  /** Adds a dropout mask input per adapted module. */
  readonly dropout: boolean;
  /** Rank capacity of a base delta entering as a low-rank input pair per adapted module; 0: none. */
  readonly baseDeltaRank: number;
  /** Modules that are not adapted and have such a pair all the same, by canonical name; absent: none. */
  readonly baseDeltaModules?: readonly string[];
}

export type InputRole =
  | "tokens" /** input_ids [B, T] I32 */
  | "attention-mask" /** [B, T] I32, 1 = token */
  | "labels" /** [B], or [B, T] I32: the token that each position has to predict, so the host shifts; 0 where the weight is 0 */
  | "loss-weights" /** [B] or [B, T] F32; the graph's loss is sum(weight * loss), so the host decides on every mean; of an activation sketch [B]: 1 for a row that counts, else 0 */
  | "position" /** [B] I32: the position whose logits `generate` returns */
  | "adapter" /** a LoRA or saved-module tensor, F32; with a leading batch dimension in per-example mode */
  | "scaling" /** [] F32 per adapted module */
  | "dropout-mask" /** [B, T, dIn] ([B, dIn] for a module that sees one row per text) F32: 0, or 1 / (1 - p), per adapted module */
  | "base-delta"; /** A [rank, dIn] and B [dOut, rank] F32 per module: the base weight counts as W + B A */

export interface ArtifactInput {
  readonly name: string;
  readonly role: InputRole;
  readonly dtype: "F32" | "I32";
  readonly shape: readonly number[];
  /**
   * For roles `adapter` and `base-delta`: the adapter tensor's name (PEFT key) that is fed here; for `scaling` and
   * `dropout-mask` the module's name.
   */
  readonly tensor?: string;
}

export type OutputRole =
  "loss" /** [] */ | "losses" /** [B] or [B, T] */ | "logits" | "gradient" | "embedding"; /** [B, d] */

export interface ArtifactOutput {
  readonly name: string;
  readonly role: OutputRole;
  readonly dtype: "F32" | "I32";
  readonly shape: readonly number[];
  /** For role `gradient`: the adapter tensor's name. */
  readonly tensor?: string;
}

/** `artifact.json`: with `step.onnx` (or `evaluate.onnx`) beside it, a training artifact that runs without TensorFlow.js. */
export interface ArtifactManifest {
  readonly format: "fedlora-artifact/1";
  /** SHA-256 of the canonical JSON of `request`, the compiler's version and the weights' places in their file. */
  readonly key: string;
  readonly request: ArtifactRequest;
  readonly opset: number;
  readonly graphFile: "step.onnx" | "evaluate.onnx";
  /** SHA-256 of the graph file. */
  readonly graphHash: string;
  readonly inputs: readonly ArtifactInput[];
  readonly outputs: readonly ArtifactOutput[];
  /**
   * Frozen weights that the graph reads, by canonical name. They are external data of the graph: a file named
   * `weights.safetensors` beside it, a hard link to or copy of the canonical weights file.
   */
  readonly weights: TensorLayout;
  /** Floating-point operations of one run, by the formula of docs/reference/engine.md. */
  readonly flops: number;
  /** Estimated bytes of activations: a batch is refused by it before a session opens. */
  readonly activationBytes: number;
  /** ONNX Runtime optimizers that would undo what the graph is for, to be switched off besides the house's own. */
  readonly disabledOptimizers: readonly string[];
}

/** A compiled artifact on disk. */
export interface ArtifactRef {
  readonly folder: string;
  readonly manifest: ArtifactManifest;
}

/** Where a tensor's bytes lie in the canonical weights file: offset from the file's first byte, and length. */
export interface WeightPlace {
  readonly dtype: "F32";
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/** Header of a canonical weights file: canonical name -> place. */
export type WeightPlaces = ReadonlyMap<string, WeightPlace>;

/** Name of the weights file that a graph's external data refers to, beside the graph. */
export const externalWeightsFile = "weights.safetensors";
