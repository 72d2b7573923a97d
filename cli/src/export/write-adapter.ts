import { FedLoraError, layoutOf, type StateDict, type TaskSpec } from "@fedlora/core";
import { replaceFile, writeSafetensorsFile } from "@fedlora/core/node";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

const adapterFiles = { config: "adapter_config.json", model: "adapter_model.safetensors", task: "fedlora_task.json" };

/**
 * Writes an adapter folder that PEFT loads, with one more file that names the task's labels. Returns the bytes of the
 * weights file.
 *
 * @param weights values, or a file as it is
 * @param config PEFT's adapter_config.json as a value
 */
export async function writeAdapterFolder(
  folder: string,
  weights: StateDict | Uint8Array,
  config: Readonly<Record<string, unknown>>,
  task: TaskSpec,
): Promise<number> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, adapterFiles.model);
  if (weights instanceof Uint8Array) await replaceFile(path, weights);
  else {
    const bytesOf = (name: string): Uint8Array => weights.get(name)?.bytes ?? new Uint8Array();
    await writeSafetensorsFile(path, layoutOf(weights), bytesOf, { metadata: { format: "pt" } });
  }
  await replaceFile(join(folder, adapterFiles.task), `${JSON.stringify(task, null, 2)}\n`);
  // Last, since a folder counts as an adapter by its config.
  await replaceFile(join(folder, adapterFiles.config), `${JSON.stringify(config, null, 2)}\n`);
  return (await stat(path)).size;
}

/**
 * Refuses a folder whose files would make another model of what is written: transformers puts an adapter that lies beside
 * a model on that model, and a model's shards go before model.safetensors.
 *
 * @throws FedLoraError `config-invalid`
 */
export async function assertFolderFits(folder: string, kind: "adapter" | "model"): Promise<void> {
  const names = await readdir(folder).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    throw new FedLoraError(
      "config-invalid",
      `--out "${folder}" is no folder that can be written (${code ?? "unknown"})`,
      {
        cause,
      },
    );
  });
  const own: readonly string[] = Object.values(adapterFiles);
  const isOfModel = (name: string): boolean =>
    !own.includes(name) && (name === "config.json" || /\.(safetensors|bin|index\.json)$/u.test(name));
  const other = names.find((name) => isOfModel(name) || (kind === "model" && own.includes(name)));
  if (other === undefined) return;
  throw new FedLoraError(
    "config-invalid",
    `--out "${folder}" holds "${other}": ${kind === "model" ? "a merged model" : "an adapter"} needs a folder of its own`,
    { details: { folder, file: other } },
  );
}
