import type { ModelManifest } from "@fedlora/core";
import type { ModelFamily } from "./family.js";
import type { Tokenizer } from "./tokenizer/tokenizer.js";

/** A pretrained model on this machine: what it is, how texts become tokens, where its weights lie. */
export interface BaseModel {
  /** Absolute path of the folder it was loaded from. */
  readonly folder: string;
  readonly manifest: ModelManifest;
  readonly family: ModelFamily;
  /** config.json as a value; it goes into every artifact request. */
  readonly configJson: Readonly<Record<string, unknown>>;
  /** config.json as the family read it. */
  readonly config: unknown;
  readonly tokenizer: Tokenizer;
  /** Longest sequence in tokens that the model has positions for; Infinity where config.json names none. */
  readonly maxPositions: number;
  /**
   * Absolute path of the canonical weights file: safetensors, F32, canonical names, every tensor at a multiple of 64
   * bytes. Written into the cache folder by the first call and checked by its hash by every first call of a process.
   *
   * @throws FedLoraError `model-hash-mismatch` where the folder's weights changed since it was loaded.
   */
  weightsFile(): Promise<string>;
}
