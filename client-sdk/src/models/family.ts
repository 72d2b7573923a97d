import type { AdaptableModule, HeadModule, TensorSpec } from "@fedlora/core";
import type { ArtifactRequest } from "../engine/artifact.js";
import type * as Ops from "./ops.js";
import type { Value } from "./ops.js";

/**
 * A model family is one file: how its config reads, what its weights are called, and its forward pass written with
 * the operations of `ops.ts` alone. Adapters, per-example mode and depth come through the context; a family never
 * mentions them.
 */
export interface ModelFamily<Config = unknown> {
  /** `bert`, `llama`. */
  readonly name: string;
  /** Values of config.json's `model_type` and `architectures` that belong to this family. */
  readonly modelTypes: readonly string[];
  readonly tasks: readonly ("sequence-classification" | "causal-lm" | "embedding")[];
  /** Validates config.json (zod); throws `model-unsupported` naming the field. */
  parseConfig(json: unknown): Config;
  /** Names and shapes, for the manifest. */
  describe(config: Config): FamilyDescription;
  /** A stored tensor's name as the canonical one (the task model's), or undefined for one that is not used. */
  canonicalName(stored: string, config: Config): string | undefined;
  /** Forward pass up to what the task needs; the task's loss is added outside. */
  forward(context: ForwardContext, config: Config): ForwardResult;
}

export interface FamilyDescription {
  readonly numLayers: number;
  readonly modules: readonly AdaptableModule[];
  readonly heads: readonly HeadModule[];
  /** Canonical weights that the forward pass reads; dtype is what the graph uses (F32). */
  readonly weights: readonly TensorSpec[];
  /** Modules of the layers that see one row per text in a classification, [B, dIn], because nothing else is read. */
  readonly pooledModules?: readonly string[];
}

export interface ForwardContext {
  /** The narrow waist; given, so that reading a model's config does not load TensorFlow.js. */
  readonly ops: typeof Ops;
  readonly request: ArtifactRequest;
  /** [B, T] */
  readonly tokens: Value;
  /** [B, T], 1 = token, 0 = padding */
  readonly attentionMask: Value;
  /** A frozen weight by canonical name. */
  readonly weight: (name: string) => Value;
  /** Linear module with its adapter, if it has one; trained in full where the request says so: x [rows, dIn] -> [rows, dOut], rows in the order of the batch. */
  readonly linear: (module: string, x: Value) => Value;
  /** Marks the boundary of a layer, for recomputation: runs `body` on x. */
  readonly layer: (index: number, x: Value, body: (x: Value) => Value) => Value;
}

export interface ForwardResult {
  /** [B * T, d] after the last norm; [B, d] in a classification that reads one position. */
  readonly hidden: Value;
  /** sequence-classification: [B, numLabels]; causal-lm: undefined, the loss takes the hidden states and the head in chunks. */
  readonly logits: Value | undefined;
  /** causal-lm: canonical name of the output matrix [V, d]. */
  readonly outputWeight: string | undefined;
}
