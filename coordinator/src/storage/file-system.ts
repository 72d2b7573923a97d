/**
 * The few file operations that durable storage needs, so that tests can put a file system under it that loses power.
 * Paths are absolute or relative to the process, joined with "/". Failures are FedLoraErrors: `storage-full` when the
 * disk or the quota is full, `file-missing` when a path does not exist, `internal` for the rest.
 */
export interface FileSystem {
  /** `read`: must exist. `write`: read and write, created empty when missing, never truncated. */
  open(path: string, mode: "read" | "write"): Promise<OpenFile>;
  /** Undefined when there is nothing at the path. */
  stat(path: string): Promise<{ readonly size: number; readonly modifiedMs: number } | undefined>;
  /** Names in a folder, in no particular order. */
  list(folder: string): Promise<string[]>;
  /** Makes the folder and those above it, durably. */
  makeFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for a file; false when the name is taken. Atomic, which makes it a lock. */
  link(from: string, to: string): Promise<boolean>;
  /** Nothing happens when the path does not exist. */
  remove(path: string): Promise<void>;
  /** After it, names made, changed and removed in the folder survive a power loss. */
  syncFolder(path: string): Promise<void>;
  /** Bytes that can still be written below the path. */
  freeBytes(path: string): Promise<number>;
}

export interface OpenFile {
  /** Writes all of the buffers, one after the other, from `position` on. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** Fills `into` from `position` on and returns the number of bytes read, fewer only at the file's end. */
  read(into: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  /** After it, what was written survives a power loss; the file's name is the folder's affair. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** Reads a whole small file. Throws `file-missing`. */
export async function readWholeFile(fileSystem: FileSystem, path: string): Promise<Uint8Array> {
  const file = await fileSystem.open(path, "read");
  try {
    const bytes = new Uint8Array(await file.size());
    const read = await file.read(bytes, 0);
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}

/** Replaces a file so that a crash leaves the old or the new content, never a mixture: temporary file, sync, rename, folder sync. */
export async function writeFileAtomically(
  fileSystem: FileSystem,
  folder: string,
  name: string,
  buffers: readonly Uint8Array[],
): Promise<void> {
  const temporary = `${folder}/${name}.tmp`;
  const file = await fileSystem.open(temporary, "write");
  try {
    await file.truncate(0);
    await file.write(buffers, 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fileSystem.rename(temporary, `${folder}/${name}`);
  await fileSystem.syncFolder(folder);
}
