import { canonicalBytes, type Clock, FedLoraError, sha256Hex } from "@fedlora/core";
import { syncFolder } from "@fedlora/core/node";
import { mkdir, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { ArtifactRef } from "../../engine/artifact.js";
import type { BaseModel } from "../base-model.js";
import { type BaseDelta, OpenBaseDelta } from "./base-delta.js";
import { type BaseDeltaPairs, stackPairs } from "./low-rank-pairs.js";
import { mergeBaseDeltas } from "./merge-weights.js";
import { splitChain } from "./split-chain.js";
import { isAlive, markName, rethrowFull, type VersionContent, VersionFolder } from "./version-folder.js";

/**
 * Versions kept on disk besides those in use, each as large as the base model: the latest, from which the next one is
 * made, and one more, so that two runs that share a cache do not drive out each other's.
 */
const maxIdleVersions = 2;
/** Left free on the disk for everything else. */
const spareBytes = 64 * 1024 * 1024;

/** Base weights that count with a chain of deltas. Release it. */
export interface OpenBase {
  /** Canonical weights file with everything that was merged. */
  readonly weightsFile: string;
  /** What is not merged: inputs of the graphs. */
  readonly pairs: BaseDeltaPairs | undefined;
  /** The artifact where it can be opened with `weightsFile`. */
  place(artifact: ArtifactRef): Promise<ArtifactRef>;
  release(): Promise<void>;
}

interface CachedVersion {
  readonly folder: VersionFolder;
  readonly content: VersionContent;
  readonly numDeltas: number;
  release(): Promise<void>;
}

/**
 * The changed versions of one base model: a cache of weights files under `base-versions`, each named by the hash chained
 * over the base model's hash and the deltas merged into it. Processes may share the folder.
 */
export class BaseVersions {
  readonly #freeBytes: (folder: string) => Promise<number>;
  readonly #baseModel: Pick<BaseModel, "manifest" | "weightsFile">;
  readonly #folder: string;
  readonly #clock: Clock;
  /** Checked by this process. */
  readonly #intact = new Set<string>();
  /** Merges are done one at a time: two at once would only compete for the disk. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly baseModel: Pick<BaseModel, "manifest" | "weightsFile">;
    readonly cacheFolder: string;
    readonly clock: Clock;
    /** Bytes that can still be written; default: asks the file system. */
    readonly freeBytes?: (folder: string) => Promise<number>;
  }) {
    this.#baseModel = options.baseModel;
    this.#folder = join(options.cacheFolder, "base-versions");
    this.#clock = options.clock;
    this.#freeBytes = options.freeBytes ?? freeBytes;
  }

  /** How many deltas at the start of a chain are merged into a version in the cache: their files are not needed. */
  async held(ids: readonly string[]): Promise<number> {
    const version = await this.#longestPrefix(ids);
    await version?.release();
    return version?.numDeltas ?? 0;
  }

  /**
   * Makes a version ready, oldest delta first.
   *
   * @param modules that get a pair whenever there is one, so that few graphs are needed
   * @throws FedLoraError `adapter-invalid` for a delta that does not fit the model, `file-missing` for one that is not
   *   here, `storage-full`, `cancelled`
   */
  async open(deltas: readonly BaseDelta[], modules: ReadonlySet<string>, signal?: AbortSignal): Promise<OpenBase> {
    if (deltas.length === 0) return unchanged(await this.#baseModel.weightsFile(), undefined);
    const opened = this.#last.then(() => this.#open(deltas, modules, signal));
    this.#last = opened.catch(() => undefined);
    return opened;
  }

  async #open(
    deltas: readonly BaseDelta[],
    modules: ReadonlySet<string>,
    signal: AbortSignal | undefined,
  ): Promise<OpenBase> {
    const { manifest } = this.#baseModel;
    const cached = await this.#longestPrefix(deltas.map(({ id }) => id));
    const rest: OpenBaseDelta[] = [];
    let version: CachedVersion | undefined;
    try {
      for (const delta of deltas.slice(cached?.numDeltas ?? 0)) rest.push(await OpenBaseDelta.open(delta, manifest));
      const { segments, pair } = splitChain(rest);
      version = segments.length === 0 ? cached : await this.#merge(cached, segments, signal);
      const pairs = await stackPairs(pair, manifest, modules);
      if (version === undefined) return unchanged(await this.#baseModel.weightsFile(), pairs);
      return openVersion(version, pairs);
    } catch (error) {
      await version?.release();
      throw error;
    } finally {
      if (version !== cached) await cached?.release();
      for (const delta of rest) await delta.close();
      await this.#prune();
    }
  }

  async #merge(
    from: CachedVersion | undefined,
    segments: readonly (readonly OpenBaseDelta[])[],
    signal: AbortSignal | undefined,
  ): Promise<CachedVersion> {
    const { manifest } = this.#baseModel;
    const all = [...(from?.content.segments ?? []), ...segments.map((segment) => segment.map(({ id }) => id))];
    const name = versionName(manifest.hash, all);
    const weightsFile = from?.folder.weightsFile ?? (await this.#baseModel.weightsFile());
    await mkdir(this.#folder, { recursive: true });
    await this.#assertRoom(weightsFile);
    const temporary = new VersionFolder(join(this.#folder, `.${name}.tmp.${markName()}`));
    try {
      await mkdir(temporary.path);
      const request = { weightsFile, target: temporary.weightsFile, segments, manifest, signal };
      const sha256 = await mergeBaseDeltas(request).catch((error: unknown) => rethrowFull(error));
      const content = { format: "fedlora-base/1", baseModelHash: manifest.hash, segments: all, sha256 } as const;
      await temporary.write({ ...content, segments: all.map((segment) => [...segment]) });
      await this.#publish(temporary, name);
    } finally {
      await temporary.remove();
    }
    this.#intact.add(name);
    const made = await this.#take(name);
    if (made === undefined)
      throw new FedLoraError("file-missing", `base version ${name} was removed while it was made`);
    return made;
  }

  /** Gives the finished folder its name, unless another process was first with the same content. */
  async #publish(temporary: VersionFolder, name: string): Promise<void> {
    const path = join(this.#folder, name);
    try {
      await rename(temporary.path, path);
    } catch (error) {
      const other = new VersionFolder(path);
      const content = await other.read();
      if (content !== undefined && (await other.isIntact(content))) return;
      await rm(path, { recursive: true, force: true });
      await rename(temporary.path, path).catch(() => {
        throw error;
      });
    }
    await syncFolder(this.#folder);
  }

  /** The cached version with most of the chain merged, in use until released; damaged ones are removed. */
  async #longestPrefix(ids: readonly string[]): Promise<CachedVersion | undefined> {
    const names = (await readdir(this.#folder).catch(() => [])).filter((name) => /^[0-9a-f]{64}$/u.test(name));
    const found = await Promise.all(
      names.map(async (name) => {
        const content = await new VersionFolder(join(this.#folder, name)).read();
        return { name, content, deltas: content?.segments.flat() ?? [] };
      }),
    );
    const fitting = found
      .filter(({ content, deltas }) => {
        const isOurs = content?.baseModelHash === this.#baseModel.manifest.hash;
        return isOurs && deltas.length > 0 && deltas.every((id, index) => id === ids[index]);
      })
      .sort((a, b) => b.deltas.length - a.deltas.length);
    for (const { name } of fitting) {
      const version = await this.#take(name);
      if (version !== undefined) return version;
    }
    return undefined;
  }

  async #take(name: string): Promise<CachedVersion | undefined> {
    const folder = new VersionFolder(join(this.#folder, name));
    const mark = await folder.use(new Date(this.#clock.now()));
    const content = await folder.read();
    if (mark === undefined) return undefined;
    if (content === undefined || (!this.#intact.has(name) && !(await folder.isIntact(content)))) {
      await folder.remove();
      return undefined;
    }
    this.#intact.add(name);
    const release = async (): Promise<void> => {
      await mark.release();
      await this.#prune();
    };
    return { folder, content, numDeltas: content.segments.flat().length, release };
  }

  /** Removes what nobody uses beyond the limit, oldest use first, and what ended processes left half made. */
  async #prune(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    const idle: { readonly folder: VersionFolder; readonly name: string; readonly usedAt: number }[] = [];
    for (const name of names) {
      const folder = new VersionFolder(join(this.#folder, name));
      const [, mark] = name.split(".tmp.");
      if (mark !== undefined) {
        if (!isAlive(mark)) await folder.remove();
      } else if (!(await folder.isInUse())) {
        const content = await folder.read();
        if (content !== undefined && content.baseModelHash !== this.#baseModel.manifest.hash) continue;
        idle.push({ folder, name, usedAt: await folder.usedAt() });
      }
    }
    idle.sort((a, b) => b.usedAt - a.usedAt);
    for (const { folder, name } of idle.slice(maxIdleVersions)) {
      this.#intact.delete(name);
      await folder.remove();
    }
  }

  async #assertRoom(weightsFile: string): Promise<void> {
    const { size } = await stat(weightsFile);
    const free = await this.#freeBytes(this.#folder);
    const needed = size + spareBytes;
    if (free >= needed) return;
    throw new FedLoraError(
      "storage-full",
      `changed base weights need ${needed} bytes in "${this.#folder}", ${free} are free`,
      { details: { neededBytes: String(needed), freeBytes: String(free) } },
    );
  }
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function openVersion(version: CachedVersion, pairs: BaseDeltaPairs | undefined): OpenBase {
  const { folder } = version;
  return {
    weightsFile: folder.weightsFile,
    pairs,
    place: (artifact) => folder.place(artifact),
    release: () => version.release(),
  };
}

function unchanged(weightsFile: string, pairs: BaseDeltaPairs | undefined): OpenBase {
  const place = (artifact: ArtifactRef): Promise<ArtifactRef> => Promise.resolve(artifact);
  return { weightsFile, pairs, place, release: () => Promise.resolve() };
}

/** Each segment's hash covers the one before it. */
function versionName(baseModelHash: string, segments: readonly (readonly string[])[]): string {
  return segments.reduce((before, segment) => sha256Hex(canonicalBytes([before, ...segment])), baseModelHash);
}
