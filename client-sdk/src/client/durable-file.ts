import { syncFolder, writeFileAtomically } from "@fedlora/core/node";
import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Replaces a file durably and atomically, readable by its owner only. */
export async function replacePrivateFile(path: string, content: Uint8Array | string): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    await file.chmod(0o600);
    await file.writeFile(content);
  });
}

/** Removes a file, if it is there, so that it stays removed. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncFolder(dirname(path));
}

/** The bytes of a file, or undefined where there is none. */
export async function readIfPresent(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
