import { blobIdOf, readSafetensors, type StateDict, toStateDict, writeSafetensors } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import { peftFolder } from "./tiny-models.js";

/** Changes to the models of testdata/peft, see testdata/base-delta/generate.py. */
export const baseDeltaFolder: string = fileURLToPath(new URL("../../../testdata/base-delta", import.meta.url));

export type TinyKind = "bert" | "llama";

/** The first deltas of the chain of four, as files. */
export function deltaFiles(kind: TinyKind, count = 4): readonly (BaseDelta & { readonly source: string })[] {
  return Array.from({ length: count }, (_, index) => {
    const source = join(baseDeltaFolder, kind, `delta-${index + 1}.safetensors`);
    return { id: blobIdOf(readFileSync(source), nodeSha256), source };
  });
}

/** The weights that differ from the base at versions 2 to 4, computed by numpy, under their stored names. */
export async function changedWeights(kind: TinyKind, version: 2 | 3 | 4): Promise<StateDict> {
  return readSafetensors(await readFile(join(baseDeltaFolder, kind, `version-${version}.safetensors`))).tensors;
}

/**
 * A model folder like that of testdata/peft, with some weights replaced. Remove it after use.
 *
 * @param layout `tied` has no output matrix of its own (llama); `sharded` spreads the weights over two files
 */
export async function saveModelFolder(
  kind: TinyKind,
  weights: StateDict,
  layout: "single" | "tied" | "sharded" = "single",
): Promise<string> {
  const base = join(peftFolder, kind, "base");
  const folder = await mkdtemp(join(tmpdir(), "fedlora-changed-"));
  await cp(base, folder, { recursive: true });
  const stored = readSafetensors(await readFile(join(base, "model.safetensors"))).tensors;
  const kept = [...stored].filter(([name]) => layout !== "tied" || name !== "lm_head.weight");
  const tensors = toStateDict(kept.map(([name, tensor]) => [name, weights.get(name) ?? tensor]));
  if (layout === "tied") {
    const config = JSON.parse(await readFile(join(base, "config.json"), "utf8")) as object;
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, tie_word_embeddings: true }));
  }
  if (layout !== "sharded") {
    await writeFile(join(folder, "model.safetensors"), writeSafetensors(tensors));
    return folder;
  }
  await rm(join(folder, "model.safetensors"));
  const weightMap: Record<string, string> = {};
  for (const shard of [0, 1]) {
    const part = [...tensors].filter((_, index) => index % 2 === shard);
    const file = `model-0000${shard + 1}-of-00002.safetensors`;
    await writeFile(join(folder, file), writeSafetensors(toStateDict(part)));
    for (const [name] of part) weightMap[name] = file;
  }
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
  return folder;
}
