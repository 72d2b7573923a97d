import { FedLoraError } from "@fedlora/core";
import { readFileSync, realpathSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { readIfPresent } from "./durable-file.js";

interface LockOwner {
  readonly pid: number;
  readonly host: string;
  /** Tells a process from a later one with the same number; empty where the system does not say. */
  readonly startedAt: string;
}

export interface FolderLock {
  release(): Promise<void>;
}

/** Folders that this process holds: its own number in a lock file says nothing about a second client within it. */
const heldHere = new Set<string>();

/**
 * Takes a folder for this process. A lock whose process is gone (a crash, a power cut) is taken over.
 * Throws `config-invalid` when another live process, or another client of this one, holds it.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const key = realpathSync(folder);
  const path = join(key, "lock");
  if (heldHere.has(key)) throw inUse(folder, "another client of this process");
  heldHere.add(key);
  try {
    await writeLock(path, folder);
  } catch (error) {
    heldHere.delete(key);
    throw error;
  }
  return {
    release: async () => {
      if (heldHere.delete(key)) await rm(path, { force: true });
    },
  };
}

async function writeLock(path: string, folder: string): Promise<void> {
  const own: LockOwner = { pid: process.pid, host: hostname(), startedAt: processStart(process.pid) };
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(path, "wx", 0o600);
      try {
        await handle.writeFile(JSON.stringify(own));
      } finally {
        await handle.close();
      }
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const owner = await readOwner(path);
    if (owner !== undefined && owner.host !== own.host) {
      throw inUse(folder, `process ${owner.pid} on machine ${owner.host}; if that is gone, delete ${path}`);
    }
    if (owner !== undefined && isAlive(owner)) throw inUse(folder, `process ${owner.pid}`);
    await rm(path, { force: true });
  }
  throw inUse(folder, "another process that started at the same moment");
}

async function readOwner(path: string): Promise<LockOwner | undefined> {
  const bytes = await readIfPresent(path);
  try {
    const value = JSON.parse(bytes?.toString("utf8") ?? "") as Partial<LockOwner>;
    if (typeof value.pid !== "number" || typeof value.host !== "string") return undefined;
    return { pid: value.pid, host: value.host, startedAt: value.startedAt ?? "" };
  } catch {
    return undefined; // torn by a crash in the middle of writing it
  }
}

function isAlive(owner: LockOwner): boolean {
  // Containers number their processes from 1, so a restarted client often finds its own number in a stale lock.
  if (owner.pid === process.pid) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return owner.startedAt === "" || owner.startedAt === processStart(owner.pid);
}

/** Boot and start time of a process, from Linux's /proc; empty elsewhere. */
function processStart(pid: number): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name, in parentheses, may hold spaces: count fields from behind it. Start time is field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return `${boot}/${fields[19] ?? ""}`;
  } catch {
    return "";
  }
}

function inUse(folder: string, by: string): FedLoraError {
  return new FedLoraError(
    "config-invalid",
    `state folder "${folder}" is in use by ${by}; every client needs a state folder of its own`,
    { details: { option: "stateFolder" } },
  );
}
