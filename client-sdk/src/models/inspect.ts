import type { ModelManifest } from "@fedlora/core";
import { type LoadOptions, readModelFiles } from "./load/load-base-model.js";

/**
 * What a coordinator needs to know of a model folder: module names, shapes and the content hash. Needs no tokenizer and
 * keeps no weights in memory.
 *
 * @throws FedLoraError as `loadBaseModel`
 */
export async function inspectModel(
  folder: string,
  options: Pick<LoadOptions, "registry" | "signal"> = {},
): Promise<ModelManifest> {
  return (await readModelFiles(folder, options)).manifest;
}
