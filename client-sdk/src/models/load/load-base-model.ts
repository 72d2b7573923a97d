import {
  elementCount,
  FedLoraError,
  hashTensorList,
  isBaseModelHash,
  type BaseModelHash,
  type ModelManifest,
} from "@fedlora/core";
import { nodeSha256, sha256OfFile } from "@fedlora/core/node";
import { basename, join, resolve } from "node:path";
import type { BaseModel } from "../base-model.js";
import type { ModelFamily } from "../family.js";
import { ensureCanonicalFile } from "./canonical-file.js";
import { createFamilyRegistry, type FamilyRegistry } from "./family-registry.js";
import { loadTokenizer } from "./load-tokenizer.js";
import { fromMetaLlamaName } from "./meta-llama-names.js";
import { type CanonicalTensor, mapWeights } from "./map-weights.js";
import { readJsonObject } from "./read-json.js";
import { listStoredTensors } from "./stored-tensors.js";

export interface LoadOptions {
  /** Where the canonical weights file is kept; made when missing. */
  readonly cacheFolder: string;
  /** Default: the built-in families. */
  readonly registry?: FamilyRegistry;
  /** Aborts between two tensors with `cancelled`. */
  readonly signal?: AbortSignal;
}

/** What the files of a model folder say, before the tokenizer. */
export interface ModelFiles {
  readonly folder: string;
  readonly family: ModelFamily;
  readonly configJson: Readonly<Record<string, unknown>>;
  readonly config: unknown;
  readonly manifest: ModelManifest;
  readonly tensors: readonly CanonicalTensor[];
  readonly tensorHashes: ReadonlyMap<string, string>;
}

/**
 * Loads a Hugging Face folder: config.json, safetensors (F32, F16, BF16; one file or shards) and tokenizer.json, or a
 * folder made from llama2.c. All weights are read once for the content hash; the event loop turns every 1 MiB.
 *
 * @throws FedLoraError `model-missing`, `model-unsupported`, `file-invalid`, `tensor-invalid`, `safetensors-invalid`,
 *   each naming the file, and the tensor where it is about one
 */
export async function loadBaseModel(folder: string, options: LoadOptions): Promise<BaseModel> {
  const files = await readModelFiles(folder, options);
  const { family, configJson, config, manifest } = files;
  const tokenizer = await loadTokenizer(files.folder, configJson);
  let weightsFile: Promise<string> | undefined;
  return {
    folder: files.folder,
    manifest,
    family,
    configJson,
    config,
    tokenizer,
    maxPositions: readMaxPositions(configJson),
    weightsFile() {
      weightsFile ??= ensureCanonicalFile({
        cacheFolder: options.cacheFolder,
        hash: manifest.hash,
        tensors: files.tensors,
        tensorHashes: files.tensorHashes,
      }).catch((error: unknown) => {
        // A full disk today must not refuse the model for the life of the process.
        weightsFile = undefined;
        throw error;
      });
      return weightsFile;
    },
  };
}

/** Config, family, names, shapes and hashes of a model folder; see `loadBaseModel` for the errors. */
export async function readModelFiles(
  folder: string,
  options: Pick<LoadOptions, "registry" | "signal"> = {},
): Promise<ModelFiles> {
  const path = resolve(folder);
  const configJson = await readJsonObject(join(path, "config.json"));
  const family = (options.registry ?? createFamilyRegistry()).forConfig(configJson);
  const config = family.parseConfig(configJson);
  const description = family.describe(config);
  const stored = await listStoredTensors(path);
  const canonicalName = (name: string): string | undefined =>
    family.canonicalName(fromMetaLlamaName(name) ?? name, config);
  const tensors = mapWeights(stored, canonicalName, description.weights, path);
  const tensorHashes = await hashTensors(tensors, options.signal);
  const specs = tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  const manifest: ModelManifest = {
    format: "fedlora-model/1",
    family: family.name,
    name: readName(configJson, path),
    hash: toBaseModelHash(
      hashTensorList(
        specs.map((spec) => ({ ...spec, sha256: tensorHashes.get(spec.name) ?? "" })),
        nodeSha256,
      ),
    ),
    numLayers: description.numLayers,
    numParameters: specs.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    modules: description.modules,
    heads: description.heads,
    tensors: specs,
  };
  return { folder: path, family, configJson, config, manifest, tensors, tensorHashes };
}

async function hashTensors(
  tensors: readonly CanonicalTensor[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const { name, path, offset, byteLength } of tensors) {
    if (signal?.aborted === true) throw new FedLoraError("cancelled", `reading "${path}" was cancelled`);
    hashes.set(name, await sha256OfFile(path, offset, byteLength));
  }
  return hashes;
}

function toBaseModelHash(hash: string): BaseModelHash {
  if (!isBaseModelHash(hash)) throw new FedLoraError("internal", `"${hash}" is not a SHA-256`);
  return hash;
}

/** The model id that config.json was made from; else the folder's name. */
function readName(configJson: Readonly<Record<string, unknown>>, folder: string): string {
  const id = configJson["_name_or_path"];
  return typeof id === "string" && id !== "" && !/^[./~\\]|^[A-Za-z]:/u.test(id) ? id : basename(folder);
}

function readMaxPositions(configJson: Readonly<Record<string, unknown>>): number {
  const positions = configJson["max_position_embeddings"];
  return typeof positions === "number" ? positions : Number.POSITIVE_INFINITY;
}
