import { FedLoraError } from "@fedlora/core";
import { replaceFile, sha256OfFile } from "@fedlora/core/node";
import { randomUUID } from "node:crypto";
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ArtifactRef } from "../../engine/artifact.js";

const hash = z.string().regex(/^[0-9a-f]{64}$/u);
const contentSchema = z.object({
  format: z.literal("fedlora-base/1"),
  baseModelHash: hash,
  /** Ids of the deltas that were merged, segment by segment. */
  segments: z.array(z.array(hash)),
  sha256: hash,
});

export type VersionContent = z.output<typeof contentSchema>;

/** Tells this process's marks from those of an earlier one with the same number. */
const processToken = randomUUID();

/**
 * One changed version of the base weights on disk: `weights.safetensors`, `version.json` that says what it is, `artifacts/`
 * with graphs linked beside the weights that they read here, and `in-use/` with a mark of everyone who works with it.
 */
export class VersionFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get weightsFile(): string {
    return join(this.path, "weights.safetensors");
  }

  /** What the version is made of, or undefined where nothing usable is there. */
  async read(): Promise<VersionContent | undefined> {
    try {
      return contentSchema.parse(JSON.parse(await readFile(join(this.path, "version.json"), "utf8")));
    } catch {
      return undefined;
    }
  }

  async write(content: VersionContent): Promise<void> {
    await mkdir(join(this.path, "in-use"), { recursive: true });
    await replaceFile(join(this.path, "version.json"), `${JSON.stringify(content, undefined, 1)}\n`);
  }

  async isIntact({ sha256 }: VersionContent): Promise<boolean> {
    return (await sha256OfFile(this.weightsFile).catch(() => "")) === sha256;
  }

  /**
   * Keeps the version on disk until the mark is removed, or this process is gone.
   *
   * @returns undefined where the version was removed meanwhile
   */
  async use(now: Date): Promise<{ release(): Promise<void> } | undefined> {
    const mark = join(this.path, "in-use", markName());
    try {
      await writeFile(mark, "");
      await utimes(join(this.path, "version.json"), now, now);
      return { release: () => rm(mark, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      return rethrowFull(error);
    }
  }

  async isInUse(): Promise<boolean> {
    return (await readdir(join(this.path, "in-use")).catch(() => [])).some(isAlive);
  }

  /** When it was taken into use last, in ms since 1970; 0 where it is not complete. */
  async usedAt(): Promise<number> {
    return (await stat(join(this.path, "version.json")).catch(() => undefined))?.mtimeMs ?? 0;
  }

  /**
   * The artifact in a folder of this version: a graph reads the weights beside it, and versions must not take each
   * other's place there.
   */
  async place({ folder, manifest }: ArtifactRef): Promise<ArtifactRef> {
    const placed = join(this.path, "artifacts", manifest.key);
    const graph = join(placed, manifest.graphFile);
    await mkdir(placed, { recursive: true });
    await link(join(folder, manifest.graphFile), graph).catch(async (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
      const copy = `${graph}.${randomUUID()}.tmp`;
      await copyFile(join(folder, manifest.graphFile), copy);
      await rename(copy, graph);
    });
    return { folder: placed, manifest };
  }

  async remove(): Promise<void> {
    // Where open files cannot be removed, the next attempt finds it still there.
    await rm(this.path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Name that says which process works with something. */
export function markName(): string {
  return `${process.pid}.${processToken}.${randomUUID()}`;
}

/** Whether the process that made a mark still runs; a name that is no mark counts as nobody's. */
export function isAlive(mark: string): boolean {
  const [pid = "", token] = mark.split(".");
  if (Number(pid) === process.pid) return token === processToken;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** @throws FedLoraError `storage-full` for a file system error that says so, else the error itself */
export function rethrowFull(error: unknown): never {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
  throw new FedLoraError("storage-full", "no space is left for changed base weights", { cause: error });
}
