import { canonicalBytes, toHex } from "@fedlora/core";
import { syncFolder } from "@fedlora/core/node";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ArtifactManifest, ArtifactRef, ArtifactRequest, WeightPlaces } from "../artifact.js";

/** Changes whenever the same request would give another graph; it is part of every artifact's key. */
export const compilerVersion = "3";

/** SHA-256 over everything that a graph depends on. */
export function artifactKey(request: ArtifactRequest, weights: WeightPlaces): string {
  const places = Object.fromEntries([...weights].map(([name, { offset, length }]) => [name, [offset, length]]));
  return sha256(canonicalBytes({ compilerVersion, request, places }));
}

/** The artifact of this key in the folder, or undefined: one counts when its graph is what its description says. */
export async function findArtifact(outputFolder: string, key: string): Promise<ArtifactRef | undefined> {
  const folder = join(outputFolder, key);
  try {
    const manifest = JSON.parse(await readFile(join(folder, "artifact.json"), "utf8")) as ArtifactManifest;
    const graph = await readFile(join(folder, manifest.graphFile));
    return manifest.key === key && manifest.graphHash === sha256(graph) ? { folder, manifest } : undefined;
  } catch {
    return undefined;
  }
}

/** Writes an artifact: its folder appears whole or not at all, and several processes may do this at once. */
export async function saveArtifact(
  outputFolder: string,
  manifest: ArtifactManifest,
  graph: Uint8Array,
): Promise<ArtifactRef> {
  await mkdir(outputFolder, { recursive: true });
  const temporary = join(outputFolder, `.${manifest.key}.${randomUUID()}.tmp`);
  try {
    await mkdir(temporary);
    await writeDurably(join(temporary, manifest.graphFile), graph);
    await writeDurably(join(temporary, "artifact.json"), `${JSON.stringify(manifest, undefined, 1)}\n`);
    await publish(temporary, outputFolder, manifest.key);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(outputFolder);
  return { folder: join(outputFolder, manifest.key), manifest };
}

export function sha256(bytes: Uint8Array): string {
  return toHex(createHash("sha256").update(bytes).digest());
}

/** Gives the finished folder its name, unless another process was first with the same content. */
async function publish(temporary: string, outputFolder: string, key: string): Promise<void> {
  const folder = join(outputFolder, key);
  try {
    await rename(temporary, folder);
  } catch (error) {
    if ((await findArtifact(outputFolder, key)) !== undefined) {
      await rm(temporary, { recursive: true, force: true });
      return;
    }
    // What is there is damaged: replace it.
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder).catch(() => {
      throw error;
    });
  }
}

async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}
