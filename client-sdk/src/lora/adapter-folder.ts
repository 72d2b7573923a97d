import {
  type AdapterSpec,
  FedLoraError,
  fromPeftFiles,
  type ModelManifest,
  resolveAdapter,
  type StateDict,
  type TaskSpec,
  taskSchema,
  toPeftFiles,
} from "@fedlora/core";
import { replaceFile } from "@fedlora/core/node";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** An adapter and what it was trained for. */
export interface SavedAdapter {
  readonly spec: AdapterSpec;
  readonly task: TaskSpec;
  /** Values by PEFT's names, F32. */
  readonly tensors: StateDict;
}

const configFile = "adapter_config.json";
const modelFile = "adapter_model.safetensors";
/** PEFT's files do not say what the labels are called; PEFT ignores this one. */
const taskFile = "fedlora_task.json";

/**
 * Writes an adapter folder that Hugging Face PEFT loads as it is, with one more file that names the task's labels.
 *
 * @param baseModel for `base_model_name_or_path`: where PEFT finds the base model
 * @throws FedLoraError `adapter-invalid` where the tensors are not those of the spec
 */
export async function saveAdapterFolder(
  folder: string,
  adapter: SavedAdapter,
  manifest: Pick<ModelManifest, "modules" | "heads">,
  baseModel: string | null = null,
): Promise<void> {
  const resolved = resolveAdapter(adapter.spec, manifest, adapter.task);
  const files = toPeftFiles({ spec: adapter.spec, resolved, tensors: adapter.tensors }, adapter.task, baseModel);
  await mkdir(folder, { recursive: true });
  await replaceFile(join(folder, modelFile), files.model);
  await replaceFile(join(folder, taskFile), `${JSON.stringify(adapter.task, undefined, 2)}\n`);
  // Last, since a folder counts as an adapter by its config.
  await replaceFile(join(folder, configFile), files.config);
}

/**
 * Reads an adapter folder of ours or of PEFT.
 *
 * @param task needed for a folder without fedlora_task.json, which PEFT's own lack; otherwise it takes precedence
 * @throws FedLoraError `file-missing`, `file-invalid`, and what `fromPeftFiles` throws
 */
export async function loadAdapterFolder(
  folder: string,
  manifest: Pick<ModelManifest, "modules" | "heads">,
  task?: TaskSpec,
): Promise<SavedAdapter> {
  const config = (await read(folder, configFile)).toString("utf8");
  const model = await read(folder, modelFile);
  const known = task ?? parseTask(folder, await read(folder, taskFile));
  const { spec, tensors } = fromPeftFiles({ config, model }, manifest, known);
  return { spec, task: known, tensors };
}

function parseTask(folder: string, bytes: Buffer): TaskSpec {
  const path = join(folder, taskFile);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new FedLoraError("file-invalid", `"${path}" is not JSON`, { cause });
  }
  const parsed = taskSchema.safeParse(json);
  if (!parsed.success) throw new FedLoraError("file-invalid", `"${path}": ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

async function read(folder: string, name: string): Promise<Buffer> {
  try {
    return await readFile(join(folder, name));
  } catch (cause) {
    throw new FedLoraError("file-missing", `cannot read "${join(folder, name)}"`, { cause });
  }
}
