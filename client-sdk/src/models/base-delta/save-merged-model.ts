import {
  baseDeltaKeys,
  type BaseModelHash,
  elementCount,
  FedLoraError,
  fromFloat32,
  headKeys,
  loraKeys,
  resolveAdapter,
  type ResolvedAdapter,
  type StateDict,
  type TaskSpec,
  type Tensor,
  type TensorSpec,
  toFloat32,
} from "@fedlora/core";
import { replaceFile, writeSafetensorsFile } from "@fedlora/core/node";
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { SavedAdapter } from "../../lora/adapter-folder.js";
import { readWidened } from "../load/canonical-file.js";
import { type ModelFiles, readModelFiles } from "../load/load-base-model.js";
import { type BaseDelta, OpenBaseDelta } from "./base-delta.js";
import { changeModule } from "./module-changes.js";
import { rethrowFull } from "./version-folder.js";

export interface MergedModelRequest {
  /** Folder of the base model. */
  readonly modelFolder: string;
  /** Content hash of the base model that the adapter was trained on. */
  readonly baseModelHash: BaseModelHash;
  /** Folder to write, made when missing; its config.json is written last. */
  readonly target: string;
  /** Changes of the base weights that the adapter counts on; asked for once the base model is known to be the right one. */
  readonly deltas: () => Promise<readonly BaseDelta[]>;
  /** Of the variant `lora`. */
  readonly adapter: SavedAdapter;
  /** After each tensor. */
  readonly onProgress?: (writtenBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface MergedModel {
  /** Modules whose matrices differ from the base model's. */
  readonly numModules: number;
  /** Of model.safetensors. */
  readonly bytes: number;
}

/** Beside config.json and weights, what tells how texts become tokens and replies, and on which terms. */
const companions =
  /^(tok(enizer)?\d*\.bin|tokenizer.*\.(json|model|txt)|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|generation_config\.json|chat_template\..*|LICENSE.*|NOTICE.*)$/iu;

/**
 * Writes a model folder that needs no adapter: W + the deltas + s B A for every linear module, added in float64 and rounded
 * once to float32, and the adapter's heads as tensors of the model. model.safetensors is F32 in the names of Hugging
 * Face's class for the task, which config.json names; transformers loads the folder, and so does `loadBaseModel`.
 * Memory holds one tensor and one module's factors at a time.
 *
 * @throws FedLoraError `model-hash-mismatch` for another base model, or one that changes meanwhile; `adapter-invalid` for
 *   tensors that do not fit or a weight that would not be finite; `storage-full`, `cancelled`, and what `loadBaseModel`
 *   throws
 */
export async function saveMergedModel(request: MergedModelRequest): Promise<MergedModel> {
  const { modelFolder, baseModelHash, target, adapter, signal } = request;
  const files = await readModelFiles(modelFolder, signal === undefined ? {} : { signal });
  if (files.manifest.hash !== baseModelHash) {
    throw new FedLoraError(
      "model-hash-mismatch",
      `"${modelFolder}" is another base model than the one that was trained on`,
      { details: { expected: baseModelHash, got: files.manifest.hash } },
    );
  }
  const resolved = resolveAdapter(adapter.spec, files.manifest, adapter.task);
  const deltas: OpenBaseDelta[] = [];
  try {
    for (const delta of [
      ...(await request.deltas()),
      { id: "adapter", source: factorsOf(resolved, adapter.tensors) },
    ]) {
      deltas.push(await OpenBaseDelta.open(delta, files.manifest));
    }
    await mkdir(target, { recursive: true });
    const merged = await writeWeights(request, files, headsOf(resolved, adapter.tensors), deltas).catch(rethrowFull);
    for (const name of await readdir(files.folder)) {
      if (companions.test(name)) await copyFile(join(files.folder, name), join(target, name));
    }
    await replaceFile(join(target, "config.json"), `${JSON.stringify(configOf(files, adapter.task), null, 2)}\n`);
    return merged;
  } finally {
    for (const delta of deltas) await delta.close();
  }
}

async function writeWeights(
  { target, onProgress, signal }: MergedModelRequest,
  { manifest, tensors, tensorHashes }: ModelFiles,
  heads: StateDict,
  deltas: readonly OpenBaseDelta[],
): Promise<MergedModel> {
  const stored = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const changed = new Map(
    manifest.modules
      .filter(({ name }) => deltas.some(({ ranks }) => ranks.has(name)))
      .map((module) => [`${module.name}.weight`, module]),
  );
  const layout: TensorSpec[] = [
    ...tensors
      .filter(({ name }) => !heads.has(name))
      .map(({ name, shape }) => ({ name, dtype: "F32" as const, shape })),
    ...[...heads].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  ];
  const total = layout.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
  let written = 0;
  const bytesOf = async (name: string): Promise<Uint8Array> => {
    const head = heads.get(name);
    if (head !== undefined) return head.bytes;
    const bytes = await readWidened(stored.get(name), name, tensorHashes.get(name));
    const module = changed.get(name);
    if (module === undefined) return bytes;
    const matrix = new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / 4);
    await changeModule(module, [deltas], {
      read: (values, first) => {
        values.set(matrix.subarray(first * module.dIn, first * module.dIn + values.length));
        return Promise.resolve();
      },
      write: (values, first) => {
        matrix.set(values, first * module.dIn);
        return Promise.resolve();
      },
    });
    return bytes;
  };
  await writeSafetensorsFile(
    join(target, "model.safetensors"),
    layout,
    async (name) => {
      if (signal?.aborted === true) throw new FedLoraError("cancelled", "merging was cancelled");
      const bytes = await bytesOf(name);
      written += bytes.byteLength;
      onProgress?.(written, total);
      return bytes;
    },
    { metadata: { format: "pt" } },
  );
  return { numModules: changed.size, bytes: total };
}

/** The adapter as one more change of the base weights: delta_A = A, delta_B = s B. */
function factorsOf({ modules }: ResolvedAdapter, tensors: StateDict): StateDict {
  const factors = new Map<string, Tensor>();
  for (const { name, scaling } of modules) {
    const from = loraKeys(name);
    const to = baseDeltaKeys(name);
    const b = take(tensors, from.b);
    factors.set(to.a, take(tensors, from.a));
    factors.set(
      to.b,
      fromFloat32(
        toFloat32(b).map((value) => scaling * value),
        b.shape,
      ),
    );
  }
  return factors;
}

function headsOf({ heads }: ResolvedAdapter, tensors: StateDict): StateDict {
  const entries = heads.flatMap(({ name, bias }) => {
    const keys = headKeys(name);
    const weight = [`${name}.weight`, take(tensors, keys.weight)] as const;
    return bias ? [weight, [`${name}.bias`, take(tensors, keys.bias)] as const] : [weight];
  });
  return new Map(entries);
}

function take(tensors: StateDict, name: string): Tensor {
  const tensor = tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new FedLoraError("adapter-invalid", `adapter tensor "${name}" is missing`, { details: { tensor: name } });
}

const classSuffix = { "sequence-classification": "ForSequenceClassification", "causal-lm": "ForCausalLM" } as const;

/** config.json for the class of the task, with the labels by name, and F32 wherever a dtype is named. */
function configOf({ configJson, family }: ModelFiles, task: TaskSpec): Readonly<Record<string, unknown>> {
  // It names the base model, which this is no longer.
  const config = Object.fromEntries(Object.entries(configJson).filter(([key]) => key !== "_name_or_path"));
  const architecture = family.modelTypes.find((type) => type.endsWith(classSuffix[task.kind]));
  const labels = task.kind === "sequence-classification" ? task.labels : undefined;
  return {
    ...config,
    ...(architecture !== undefined && { architectures: [architecture] }),
    ...("torch_dtype" in config && { torch_dtype: "float32" }),
    ...("dtype" in config && { dtype: "float32" }),
    ...(labels !== undefined && {
      id2label: Object.fromEntries(labels.map((label, index) => [index, label])),
      label2id: Object.fromEntries(labels.map((label, index) => [label, index])),
    }),
  };
}
