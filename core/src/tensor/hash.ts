import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { canonicalJson } from "../json/canonical-json.js";
import { compareNames } from "./state-dict.js";
import type { StateDict, TensorSpec } from "./tensor.js";

/** A hash under way; `node:crypto`'s Hash and those of @noble/hashes fit as they are. */
export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** Starts a SHA-256. Parameters of this type exist so that Node can use its native, much faster one. */
export type HashFactory = () => IncrementalHash;

/** SHA-256 in JavaScript, for every platform. */
export const portableSha256: HashFactory = () => nobleSha256.create();

export function sha256(bytes: Uint8Array, factory: HashFactory = portableSha256): Uint8Array {
  const hash = factory();
  hash.update(bytes);
  return hash.digest();
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Lower-case hex SHA-256. */
export function sha256Hex(bytes: Uint8Array, factory: HashFactory = portableSha256): string {
  return toHex(sha256(bytes, factory));
}

/** A tensor by its content, without its values. */
export interface HashedTensor extends TensorSpec {
  /** Lower-case hex SHA-256 of the tensor's bytes. */
  readonly sha256: string;
}

/**
 * Content hash of named tensors: SHA-256 over the canonical JSON of the list of [name, dtype, shape, SHA-256 of the
 * bytes], sorted by name. Independent of files, shards and alignment. A base model's hash is this one.
 */
export function hashTensorList(tensors: Iterable<HashedTensor>, factory: HashFactory = portableSha256): string {
  const rows = [...tensors].sort((a, b) => compareNames(a.name, b.name));
  const text = canonicalJson(rows.map(({ name, dtype, shape, sha256: hash }) => [name, dtype, shape, hash]));
  return sha256Hex(new TextEncoder().encode(text), factory);
}

/** Content hash of a state dict in memory, see `hashTensorList`. */
export function hashStateDict(state: StateDict, factory: HashFactory = portableSha256): string {
  return hashTensorList(
    [...state].map(([name, { dtype, shape, bytes }]) => ({ name, dtype, shape, sha256: sha256Hex(bytes, factory) })),
    factory,
  );
}
