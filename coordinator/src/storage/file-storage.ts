import { noopLogger, systemClock } from "@fedlora/core";
import type { Clock, Logger } from "@fedlora/core";

import { FileBlobStore } from "./file-blob-store.js";
import { FileJournal } from "./file-journal.js";
import { FileSecretStore } from "./file-secrets.js";
import type { FileSystem } from "./file-system.js";
import { recoverJournal } from "./journal-recovery.js";
import type { TornTail } from "./journal-recovery.js";
import { nodeFileSystem } from "./node-file-system.js";
import { takeOwnership } from "./ownership.js";
import type { Ownership, ProcessTable } from "./ownership.js";
import { nodeProcessTable } from "./process-table.js";
import type { Storage } from "./storage.js";

export interface FileStorageOptions {
  /** Made when missing; holds `journal`, `snapshots`, `blobs`, `partials`, `secrets` and the owner's file. */
  readonly folder: string;
  /** Fence a live process that holds the folder instead of being refused; default false. */
  readonly takeOver?: boolean;
  /** Size from which the journal starts another segment, in bytes; default 16 MiB. */
  readonly segmentBytes?: number;
  /** History that `trim` keeps for the audit, in bytes; default 256 MiB. */
  readonly retainBytes?: number;
  /** Below so many free bytes the storage reports itself unhealthy; default 256 MiB. */
  readonly minFreeBytes?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly fileSystem?: FileSystem;
  readonly processes?: ProcessTable;
}

export interface FileStorage extends Storage {
  /** What was cut off the journal's end at the opening. */
  readonly tornTail: TornTail | undefined;
}

const mebibyte = 1024 * 1024;

/**
 * Durable storage in a folder of a local disk. Throws `storage-fenced` when a live process holds the folder and
 * `journal-corrupt` when an acknowledged record is damaged.
 */
export async function openFileStorage(options: FileStorageOptions): Promise<FileStorage> {
  const { folder, fileSystem = nodeFileSystem } = options;
  const folders = {
    journal: `${folder}/journal`,
    snapshots: `${folder}/snapshots`,
    blobs: `${folder}/blobs`,
    partials: `${folder}/partials`,
    secrets: `${folder}/secrets`,
  };
  for (const each of Object.values(folders)) await fileSystem.makeFolder(each);
  const ownership = await takeOwnership(
    fileSystem,
    folder,
    options.processes ?? nodeProcessTable,
    options.takeOver ?? false,
  );
  try {
    return await openOwned(options, fileSystem, folders, ownership);
  } catch (thrown) {
    await ownership.release();
    throw thrown;
  }
}

interface Folders {
  readonly journal: string;
  readonly snapshots: string;
  readonly blobs: string;
  readonly partials: string;
  readonly secrets: string;
}

async function openOwned(
  options: FileStorageOptions,
  fileSystem: FileSystem,
  folders: Folders,
  ownership: Ownership,
): Promise<FileStorage> {
  const { folder, clock = systemClock, logger = noopLogger } = options;
  const recovered = await recoverJournal(fileSystem, folders.journal);
  if (recovered.tornTail !== undefined) {
    logger.warn({ ...recovered.tornTail }, "cut a torn tail off the journal; nothing in it was acknowledged");
  }
  await removeLeftovers(fileSystem, folders);
  // A blob whose name a killed process did not sync is visible but not durable yet.
  await fileSystem.syncFolder(folders.blobs);
  const journal = new FileJournal(fileSystem, folders, ownership, recovered, {
    segmentBytes: options.segmentBytes ?? 16 * mebibyte,
    retainBytes: options.retainBytes ?? 256 * mebibyte,
  });
  const blobs = new FileBlobStore(fileSystem, clock, folders);
  return {
    journal,
    blobs,
    secrets: new FileSecretStore(fileSystem, folders.secrets),
    tornTail: recovered.tornTail,
    healthy: () => isHealthy(fileSystem, folder, ownership, options.minFreeBytes ?? 256 * mebibyte),
    close: async () => {
      await journal.close();
      await blobs.close();
      await ownership.release();
    },
  };
}

async function isHealthy(
  fileSystem: FileSystem,
  folder: string,
  ownership: Ownership,
  minFreeBytes: number,
): Promise<boolean> {
  try {
    await ownership.assertHeld();
    return (await fileSystem.freeBytes(folder)) >= minFreeBytes;
  } catch {
    return false;
  }
}

/** Temporary files of a process that ended in the middle of a write. */
async function removeLeftovers(fileSystem: FileSystem, folders: Folders): Promise<void> {
  for (const name of await fileSystem.list(folders.snapshots)) {
    if (name.endsWith(".tmp")) await fileSystem.remove(`${folders.snapshots}/${name}`);
  }
  for (const name of await fileSystem.list(folders.partials)) {
    if (name.startsWith("put-")) await fileSystem.remove(`${folders.partials}/${name}`);
  }
}
