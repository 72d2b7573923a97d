import type { BaseModelHash } from "../ids.js";
import type { TensorSpec } from "../tensor/tensor.js";

/** A module that can carry a LoRA adapter: weight [dOut, dIn]. */
export interface AdaptableModule {
  /** Canonical name, that of the Hugging Face task model: `bert.encoder.layer.0.attention.self.query`. */
  readonly name: string;
  readonly kind: "linear";
  readonly dIn: number;
  readonly dOut: number;
  /** Index of the transformer layer, counted from the input; null outside the layers. */
  readonly layer: number | null;
}

/** A module that PEFT would list in `modules_to_save`, created for the task (a classification head). */
export interface HeadModule {
  readonly name: string;
  readonly kind: "linear";
  readonly dIn: number;
  /** null: given by the task (the number of labels). */
  readonly dOut: number | null;
  /** Whether the module has a bias [dOut]; default true. */
  readonly bias?: boolean | undefined;
}

/**
 * What the coordinator knows of a base model: names, shapes and a content hash, never code or values.
 * Written by `fedlora model inspect`.
 */
export interface ModelManifest {
  readonly format: "fedlora-model/1";
  /** Model family, the name of a family file of the client SDK: `bert`, `llama`. */
  readonly family: string;
  /** For people: the folder's name or the model id of config.json. */
  readonly name: string;
  /** SHA-256 over the sorted list of (canonical name, dtype, shape, SHA-256 of the bytes): the same for single and sharded files. */
  readonly hash: BaseModelHash;
  readonly numLayers: number;
  readonly numParameters: number;
  readonly modules: readonly AdaptableModule[];
  readonly heads: readonly HeadModule[];
  readonly tensors: readonly TensorSpec[];
}
