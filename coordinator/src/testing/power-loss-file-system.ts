import { FedLoraError } from "@fedlora/core";

import type { FileSystem, OpenFile } from "../storage/file-system.js";

/** Thrown by every operation from the crash on; no FedLoraError, so that no code under test mistakes it for one of its own. */
export class PowerLost extends Error {
  override readonly name = "PowerLost";
}

/**
 * What survives a crash.
 *
 * - `strict`: only what was synced. Files have the bytes of their last `datasync`, folders the names of their last `syncFolder`.
 * - `torn`: what was synced, and of the rest whatever the chooser picks: writes in pieces of 512 bytes, names one by one.
 * - `process`: everything that was written; the process was killed, the machine was not.
 */
export type SurvivalMode = "strict" | "torn" | "process";

interface Inode {
  /** Content as the process sees it. */
  current: Uint8Array;
  /** Content after the last datasync. */
  durable: Uint8Array;
  unsynced: { readonly position: number; readonly bytes: Uint8Array }[];
}

interface Folder {
  readonly current: Map<string, Inode>;
  readonly durable: Map<string, Inode>;
}

const sectorBytes = 512;

/**
 * A file system in memory that loses power: the harshest one that POSIX allows. Names and contents are separate, each durable only
 * after its own sync. Operations that change something are counted; the one numbered `crashAt` (from 1) does half of its
 * work, and it and all later ones throw `PowerLost`.
 */
export class PowerLossFileSystem implements FileSystem {
  /** Operations that changed or synced something so far. */
  operations = 0;
  /** Bytes that may still be written before the disk is full. */
  capacityBytes = Number.POSITIVE_INFINITY;
  readonly #crashAt: number;
  readonly #folders: Map<string, Folder>;
  #modified = 0;
  #isOff = false;

  constructor(crashAt = Number.POSITIVE_INFINITY, folders: Map<string, Folder> = new Map<string, Folder>()) {
    this.#crashAt = crashAt;
    this.#folders = folders;
  }

  get hasCrashed(): boolean {
    return this.#isOff;
  }

  /** The disk as the next start finds it. `keep` decides, in `torn` mode, what unsynced piece survives. */
  afterCrash(mode: SurvivalMode, keep: () => boolean = () => false, crashAt?: number): PowerLossFileSystem {
    this.#isOff = true;
    const survivors = new Map<Inode, Inode>();
    const survive = (inode: Inode): Inode => {
      const known = survivors.get(inode);
      if (known !== undefined) return known;
      const content = survivingContent(inode, mode, keep);
      const survivor = { current: content, durable: Uint8Array.from(content), unsynced: [] };
      survivors.set(inode, survivor);
      return survivor;
    };
    const folders = new Map<string, Folder>();
    for (const [path, folder] of this.#folders) {
      const names = survivingNames(folder, mode, keep).map(([name, inode]) => [name, survive(inode)] as const);
      folders.set(path, { current: new Map(names), durable: new Map(names) });
    }
    return new PowerLossFileSystem(crashAt, folders);
  }

  /** Changes a byte of a file for good, as a failing disk would. */
  flip(path: string, offset: number): void {
    const inode = this.#inode(path);
    inode.current[offset] = (inode.current[offset] ?? 0) ^ 0xff;
    inode.durable = Uint8Array.from(inode.current);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async open(path: string, mode: "read" | "write"): Promise<OpenFile> {
    this.#assertOn();
    const { folder, name } = this.#split(path);
    let inode = folder.current.get(name);
    if (inode === undefined) {
      if (mode === "read") throw missing(path);
      this.#change();
      inode = { current: new Uint8Array(0), durable: new Uint8Array(0), unsynced: [] };
      folder.current.set(name, inode);
    }
    return this.#openFile(inode);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async stat(path: string): Promise<{ size: number; modifiedMs: number } | undefined> {
    this.#assertOn();
    const { folder, name } = this.#split(path);
    const inode = folder.current.get(name);
    return inode === undefined ? undefined : { size: inode.current.byteLength, modifiedMs: this.#modified };
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async list(folder: string): Promise<string[]> {
    this.#assertOn();
    return [...this.#folder(folder).current.keys()];
  }

  /** Folders themselves are not lost: every start makes them first thing. */
  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async makeFolder(path: string): Promise<void> {
    this.#assertOn();
    if (!this.#folders.has(path)) this.#folders.set(path, { current: new Map(), durable: new Map() });
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (!this.#folders.has(parent)) this.#folders.set(parent, { current: new Map(), durable: new Map() });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async rename(from: string, to: string): Promise<void> {
    this.#change();
    const inode = this.#inode(from);
    const target = this.#split(to);
    const source = this.#split(from);
    target.folder.current.set(target.name, inode);
    source.folder.current.delete(source.name);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async link(from: string, to: string): Promise<boolean> {
    this.#change();
    const target = this.#split(to);
    if (target.folder.current.has(target.name)) return false;
    target.folder.current.set(target.name, this.#inode(from));
    return true;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async remove(path: string): Promise<void> {
    this.#change();
    const { folder, name } = this.#split(path);
    folder.current.delete(name);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  async syncFolder(path: string): Promise<void> {
    this.#change();
    const folder = this.#folder(path);
    folder.durable.clear();
    for (const [name, inode] of folder.current) folder.durable.set(name, inode);
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(this.capacityBytes);
  }

  #openFile(inode: Inode): OpenFile {
    return {
      // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers);
        if (bytes.byteLength > this.capacityBytes) {
          const part = bytes.subarray(0, this.capacityBytes);
          this.capacityBytes = 0;
          applyWrite(inode, position, part);
          throw new FedLoraError("storage-full", "no space left on the simulated disk");
        }
        this.capacityBytes -= bytes.byteLength;
        try {
          this.#change();
        } catch (thrown) {
          applyWrite(inode, position, bytes.subarray(0, bytes.byteLength >> 1));
          throw thrown;
        }
        applyWrite(inode, position, bytes);
      },
      // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
      read: async (into, position) => {
        this.#assertOn();
        const part = inode.current.subarray(position, position + into.byteLength);
        into.set(part);
        return part.byteLength;
      },
      // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
      size: async () => {
        this.#assertOn();
        return inode.current.byteLength;
      },
      // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
      truncate: async (size) => {
        if (size === inode.current.byteLength) return;
        this.#change();
        const cut = new Uint8Array(size);
        cut.set(inode.current.subarray(0, size));
        inode.current = cut;
      },
      // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
      datasync: async () => {
        this.#change();
        inode.durable = Uint8Array.from(inode.current);
        inode.unsynced = [];
      },
      close: () => Promise.resolve(),
    };
  }

  #change(): void {
    this.#assertOn();
    this.operations += 1;
    this.#modified += 1;
    if (this.operations < this.#crashAt) return;
    this.#isOff = true;
    throw new PowerLost(`power lost at operation ${this.operations}`);
  }

  #assertOn(): void {
    if (this.#isOff) throw new PowerLost("the machine is off");
  }

  #split(path: string): { readonly folder: Folder; readonly name: string } {
    const slash = path.lastIndexOf("/");
    return { folder: this.#folder(path.slice(0, slash)), name: path.slice(slash + 1) };
  }

  #folder(path: string): Folder {
    const folder = this.#folders.get(path);
    if (folder === undefined) throw missing(path);
    return folder;
  }

  #inode(path: string): Inode {
    const { folder, name } = this.#split(path);
    const inode = folder.current.get(name);
    if (inode === undefined) throw missing(path);
    return inode;
  }
}

function applyWrite(inode: Inode, position: number, bytes: Uint8Array): void {
  const next = new Uint8Array(Math.max(inode.current.byteLength, position + bytes.byteLength));
  next.set(inode.current);
  next.set(bytes, position);
  inode.current = next;
  inode.unsynced.push({ position, bytes: Uint8Array.from(bytes) });
}

function survivingContent(inode: Inode, mode: SurvivalMode, keep: () => boolean): Uint8Array {
  if (mode === "process") return Uint8Array.from(inode.current);
  let content = Uint8Array.from(inode.durable);
  if (mode === "strict") return content;
  for (const { position, bytes } of inode.unsynced) {
    for (let start = 0; start < bytes.byteLength; start += sectorBytes) {
      if (!keep()) continue;
      const sector = bytes.subarray(start, start + sectorBytes);
      const longer = new Uint8Array(Math.max(content.byteLength, position + start + sector.byteLength));
      longer.set(content);
      longer.set(sector, position + start);
      content = longer;
    }
  }
  return content;
}

function survivingNames(folder: Folder, mode: SurvivalMode, keep: () => boolean): [string, Inode][] {
  if (mode === "process") return [...folder.current];
  if (mode === "strict") return [...folder.durable];
  const names: [string, Inode][] = [];
  for (const name of new Set([...folder.durable.keys(), ...folder.current.keys()])) {
    const before = folder.durable.get(name);
    const after = folder.current.get(name);
    const survivor = before === after || keep() ? after : before;
    if (survivor !== undefined) names.push([name, survivor]);
  }
  return names;
}

function missing(path: string): FedLoraError {
  return new FedLoraError("file-missing", `${path} does not exist`);
}
