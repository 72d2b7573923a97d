import { copyFile, link, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { FedLoraError } from "@fedlora/core";

/** The file name that graphs read their frozen weights from. */
export const weightsFileName = "weights.safetensors";

/**
 * Puts the canonical weights file beside a graph: as a hard link, or as a copy where the file system allows no link.
 * The runtime maps it and refuses symbolic links and files outside the graph's folder. Safe when several processes do it
 * at once, and while another process has the old file mapped.
 *
 * Throws `file-missing` when there is no weights file.
 */
export async function placeWeights(folder: string, weightsFile: string): Promise<void> {
  const target = join(folder, weightsFileName);
  const source = await stat(weightsFile).catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `no weights file at ${weightsFile}`, { cause });
  });
  const present = await stat(target).catch(() => undefined);
  if (present !== undefined) {
    const linked = present.ino === source.ino && present.dev === source.dev;
    const copied = present.size === source.size && Math.abs(present.mtimeMs - source.mtimeMs) < 2;
    if (linked || copied) return;
  }
  const temporary = `${target}.${process.pid}.tmp`;
  await rm(temporary, { force: true });
  try {
    await link(weightsFile, temporary);
  } catch {
    await copyFile(weightsFile, temporary);
    // A later call recognises the copy by its size and time.
    await utimes(temporary, source.atime, source.mtime);
  }
  await rename(temporary, target);
  // Renaming one hard link onto another of the same file leaves both.
  await rm(temporary, { force: true });
}
