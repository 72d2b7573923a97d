import { FedLoraError } from "@fedlora/core";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { contentHash } from "./content-hash.js";
import type { StoreAddress } from "./content-store.js";

/** For one request, connection and body. */
const timeoutMs = 60_000;
const maxCachedBytes = 256 * 1024 * 1024;

export interface ContentClientOptions {
  readonly store: StoreAddress;
  /** For what is wanted as a file; it is removed with the worker. */
  readonly folder: string;
  /** Name of this worker in the other side's messages. */
  readonly worker: string;
}

/** A worker's side of the content store: what it fetched once it does not fetch again, within a bound. */
export class ContentClient {
  readonly #options: ContentClientOptions;
  readonly #cached = new Map<string, Promise<Uint8Array>>();
  readonly #sizes = new Map<string, number>();
  readonly #files = new Map<string, Promise<string>>();
  #bytes = 0;

  constructor(options: ContentClientOptions) {
    this.#options = options;
  }

  /** Throws `blob-not-found`, `blob-hash-mismatch`, `unavailable`. */
  fetch(hash: string, signal: AbortSignal): Promise<Uint8Array> {
    const cached = this.#cached.get(hash);
    if (cached !== undefined) return cached;
    const bytes = this.#get(hash, signal);
    this.#cached.set(hash, bytes);
    bytes.then(
      ({ byteLength }) => this.#onFetched(hash, byteLength),
      () => this.#cached.delete(hash),
    );
    return bytes;
  }

  /** The same as a file. */
  file(hash: string, signal: AbortSignal): Promise<string> {
    const known = this.#files.get(hash);
    if (known !== undefined) return known;
    const path = join(this.#options.folder, `${hash}.safetensors`);
    const written = this.#get(hash, signal).then(async (bytes) => {
      await writeFile(path, bytes);
      return path;
    });
    this.#files.set(hash, written);
    written.catch(() => this.#files.delete(hash));
    return written;
  }

  /** Throws `unavailable` where the other side is away, `request-invalid` with its reason where it does not want the result. */
  async sendResult(shard: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const response = await this.#ask("PUT", `results/${shard}`, signal, bytes);
    if (response.status === 204) return;
    throw new FedLoraError("request-invalid", `the result was refused: ${(await response.text()).slice(0, 500)}`);
  }

  async #get(hash: string, signal: AbortSignal): Promise<Uint8Array> {
    const response = await this.#ask("GET", `blobs/${hash}`, signal);
    if (response.status !== 200) {
      await response.body?.cancel();
      const code = response.status === 404 ? "blob-not-found" : "unavailable";
      throw new FedLoraError(code, `content ${hash.slice(0, 12)}: answer ${response.status}`);
    }
    const bytes = new Uint8Array(await response.arrayBuffer().catch((cause: unknown) => this.#away(cause)));
    const got = contentHash(bytes);
    if (got !== hash) throw new FedLoraError("blob-hash-mismatch", `content ${hash.slice(0, 12)} came as ${got}`);
    return bytes;
  }

  async #ask(method: string, path: string, signal: AbortSignal, body?: Uint8Array): Promise<Response> {
    const { store, worker } = this.#options;
    return fetch(`${store.url}/${path}`, {
      method,
      headers: { authorization: `Bearer ${store.token}`, "fedlora-worker": worker },
      ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    }).catch((cause: unknown) => this.#away(cause));
  }

  #away(thrown: unknown): never {
    const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
    const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause);
    const message = `the simulation's content store at ${this.#options.store.url} cannot be reached: ${reason ?? ""}`;
    throw new FedLoraError("unavailable", message, { cause: thrown });
  }

  #onFetched(hash: string, size: number): void {
    this.#sizes.set(hash, size);
    this.#bytes += size;
    for (const [oldest, bytes] of this.#sizes) {
      if (this.#bytes <= maxCachedBytes || oldest === hash) break;
      this.#sizes.delete(oldest);
      this.#cached.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}
