import type { BlobId } from "@fedlora/core";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { BlobStore } from "../storage/storage.js";

/**
 * Runs something with every blob as a local file: the store's own, or temporary copies where the store has no files (in memory).
 */
export async function withBlobFiles<T>(
  blobs: BlobStore,
  ids: readonly BlobId[],
  body: (pathOf: (id: BlobId) => string) => Promise<T>,
): Promise<T> {
  const paths = new Map<BlobId, string>();
  let folder: string | undefined;
  try {
    for (const id of new Set(ids)) {
      const own = blobs.path(id);
      if (own !== undefined) {
        paths.set(id, own);
        continue;
      }
      folder ??= await mkdtemp(join(tmpdir(), "fedlora-blobs-"));
      const copy = join(folder, id);
      await writeFile(copy, await blobs.read(id, 0, await blobs.size(id)));
      paths.set(id, copy);
    }
    return await body((id) => paths.get(id) ?? "");
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
