import type { BaseModelHash, TaskSpec, TensorLayout } from "@fedlora/core";

/** What a compiled graph is for. `train` yields the loss and gradients; the others run forward only. */
export type ArtifactPurpose = "train" | "evaluate" | "generate" | "embed";

/** One module with a LoRA adapter in the graph. */
export interface AdaptedModule {
  /** Canonical module name, as in the model's manifest. */
  readonly name: string;
  /** Rank of the tensors in the graph (padded ranks come with a mask input). */
  readonly rank: number;
  /** False below the trained depth: applied in the forward pass, without gradients. */
  readonly trained: boolean;
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
}

export type InputRole =
  | "tokens" /** input_ids [B, T] I32 */
  | "attention-mask" /** [B, T] I32, 1 = token */
  | "labels" /** [B] or [B, T] I32 */
  | "loss-weights" /** [B] or [B, T] F32; the graph's loss is sum(weight * loss), so the host decides on every mean */
  | "position" /** [B] I32: the row whose logits `generate` returns */
  | "adapter" /** a LoRA or saved-module tensor, F32; with a leading batch dimension in per-example mode */
  | "scaling" /** [] F32 per adapted module */
  | "dropout-mask"
  | "base-delta";

export interface ArtifactInput {
  readonly name: string;
  readonly role: InputRole;
  readonly dtype: "F32" | "I32";
  readonly shape: readonly number[];
  /** For role `adapter`: the adapter tensor's name (PEFT key) that is fed here; for `scaling` the module's name. */
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
  /** SHA-256 of the canonical JSON of `request` and of the compiler's version. */
  readonly key: string;
  readonly request: ArtifactRequest;
  readonly opset: number;
  readonly graphFile: "step.onnx" | "evaluate.onnx";
  /** SHA-256 of the graph file. */
  readonly graphHash: string;
  readonly inputs: readonly ArtifactInput[];
  readonly outputs: readonly ArtifactOutput[];
  /** Frozen weights that the graph reads from the canonical weights file, by canonical name. */
  readonly weights: TensorLayout;
  /** Floating-point operations of one run, by the formula of docs/reference/engine.md. */
  readonly flops: number;
  /** Estimated bytes of activations: a batch is refused by it before a session opens. */
  readonly activationBytes: number;
}

/** A compiled artifact on disk. */
export interface ArtifactRef {
  readonly folder: string;
  readonly manifest: ArtifactManifest;
}
