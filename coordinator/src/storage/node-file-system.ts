import { FedLoraError } from "@fedlora/core";
import { link, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";

import type { FileSystem, OpenFile } from "./file-system.js";

/** The machine's own file system. */
export const nodeFileSystem: FileSystem = {
  open: (path, mode) => translate(path, async () => toOpenFile(path, await openHandle(path, mode))),
  stat: async (path) => {
    try {
      const { size, mtimeMs } = await stat(path);
      return { size, modifiedMs: mtimeMs };
    } catch (thrown) {
      if (errnoCode(thrown) === "ENOENT") return undefined;
      throw toFedLoraError(path, thrown);
    }
  },
  list: (folder) => translate(folder, () => readdir(folder)),
  makeFolder: (path) =>
    translate(path, async () => {
      const first = await mkdir(path, { recursive: true });
      if (first === undefined) return;
      // Every folder that now holds a new name is synced, from the innermost up to the one that existed.
      for (let folder = dirname(path); ; folder = dirname(folder)) {
        await syncFolder(folder);
        if (folder === dirname(first) || folder === dirname(folder)) return;
      }
    }),
  rename: (from, to) => translate(from, () => rename(from, to)),
  link: async (from, to) => {
    try {
      await link(from, to);
      return true;
    } catch (thrown) {
      if (errnoCode(thrown) === "EEXIST") return false;
      throw toFedLoraError(to, thrown);
    }
  },
  remove: (path) => translate(path, () => rm(path, { force: true })),
  syncFolder: (path) => translate(path, () => syncFolder(path)),
  freeBytes: (path) =>
    translate(path, async () => {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    }),
};

async function openHandle(path: string, mode: "read" | "write"): Promise<FileHandle> {
  if (mode === "read") return open(path, "r");
  try {
    return await open(path, "r+");
  } catch (thrown) {
    if (errnoCode(thrown) !== "ENOENT") throw thrown;
    return open(path, "w+", 0o600);
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function toOpenFile(path: string, handle: FileHandle): OpenFile {
  return {
    write: (buffers, position) => translate(path, () => writeAll(handle, buffers, position)),
    read: (into, position) =>
      translate(path, async () => {
        let done = 0;
        while (done < into.byteLength) {
          const { bytesRead } = await handle.read(into, done, into.byteLength - done, position + done);
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return done;
      }),
    size: () => translate(path, async () => (await handle.stat()).size),
    truncate: (size) => translate(path, () => handle.truncate(size)),
    datasync: () => translate(path, () => handle.datasync()),
    close: () => translate(path, () => handle.close()),
  };
}

async function writeAll(handle: FileHandle, buffers: readonly Uint8Array[], position: number): Promise<void> {
  const total = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  if (total === 0) return;
  const { bytesWritten } = await handle.writev([...buffers], position);
  if (bytesWritten === total) return;
  // The kernel took a part: the rest, buffer by buffer.
  let skip = bytesWritten;
  let offset = position + bytesWritten;
  for (const buffer of buffers) {
    let start = Math.min(skip, buffer.byteLength);
    skip -= start;
    while (start < buffer.byteLength) {
      const written = (await handle.write(buffer, start, buffer.byteLength - start, offset)).bytesWritten;
      start += written;
      offset += written;
    }
  }
}

async function translate<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (thrown) {
    throw toFedLoraError(path, thrown);
  }
}

function toFedLoraError(path: string, thrown: unknown): FedLoraError {
  const code = errnoCode(thrown);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new FedLoraError("storage-full", `no space left to write ${path}`, { cause: thrown, retryAfterMs: 10_000 });
  }
  if (code === "ENOENT") return new FedLoraError("file-missing", `${path} does not exist`, { cause: thrown });
  return FedLoraError.from(thrown);
}

function errnoCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}
