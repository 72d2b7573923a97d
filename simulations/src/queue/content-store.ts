import { FedLoraError } from "@fedlora/core";
import { sha256OfFile } from "@fedlora/core/node";
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createReadStream } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { contentHash } from "./content-hash.js";

/** No result of a shard is larger. */
const maxResultBytes = 1024 ** 3;

/** Where workers find the tensors of a session; who has it may read and answer everything of it. */
export interface StoreAddress {
  /** `http://host:port` */
  readonly url: string;
  readonly token: string;
}

/** What became of a result; the text is for the worker's log. */
export interface ResultAnswer {
  readonly status: 204 | 400 | 409;
  readonly text: string;
}

export interface ContentStoreOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** The host that workers are told, where it is another one than is listened on. */
  readonly publicHost: string;
  readonly onResult: (shard: string, bytes: Uint8Array, worker: string) => ResultAnswer;
}

interface HeldBlob {
  readonly bytes: Uint8Array;
  uses: number;
}

/**
 * Bytes by their SHA-256 over HTTP, for workers on other machines, and the way back for their results. Bytes are held as long
 * as a shard needs them, files as long as they exist.
 */
export class ContentStore {
  readonly address: StoreAddress;
  readonly #server: Server;
  readonly #onResult: ContentStoreOptions["onResult"];
  readonly #blobs = new Map<string, HeldBlob>();
  readonly #files = new Map<string, string>();
  readonly #hashes = new Map<string, Promise<string>>();

  private constructor(server: Server, { publicHost, onResult }: ContentStoreOptions) {
    const { port } = server.address() as AddressInfo;
    const host = publicHost.includes(":") ? `[${publicHost}]` : publicHost;
    this.address = { url: `http://${host}:${port}`, token: randomBytes(32).toString("hex") };
    this.#server = server;
    this.#onResult = onResult;
    server.on("request", (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Throws `config-invalid` where it cannot listen. */
  static async listen(options: ContentStoreOptions): Promise<ContentStore> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const place = `${options.host}:${options.port}`;
        reject(new FedLoraError("config-invalid", `cannot listen on ${place}: ${cause.message}`, { cause }));
      });
      server.listen(options.port, options.host, resolve);
    });
    return new ContentStore(server, options);
  }

  /** Holds bytes once more and names them. */
  hold(bytes: Uint8Array): string {
    const hash = contentHash(bytes);
    const held = this.#blobs.get(hash);
    if (held === undefined) this.#blobs.set(hash, { bytes, uses: 1 });
    else held.uses += 1;
    return hash;
  }

  /** Lets go of bytes that were held once. */
  release(hash: string): void {
    const held = this.#blobs.get(hash);
    if (held === undefined) return;
    held.uses -= 1;
    if (held.uses === 0) this.#blobs.delete(hash);
  }

  /** Offers a file, read only when it is asked for; its content must not change. */
  offerFile(path: string): Promise<string> {
    const known = this.#hashes.get(path);
    if (known !== undefined) return known;
    const hash = sha256OfFile(path).then((name) => {
      this.#files.set(name, path);
      return name;
    });
    this.#hashes.set(path, hash);
    return hash;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, kind, name = ""] = (request.url ?? "").split("/");
    if (!this.#isAllowed(request)) end(response, 401, "wrong token");
    else if (!/^[0-9a-f]{64}$/.test(name)) end(response, 404, "not found");
    else if (kind === "blobs" && request.method === "GET") await this.#send(name, response);
    else if (kind === "results" && request.method === "PUT") await this.#take(name, request, response);
    else end(response, 404, "not found");
  }

  async #take(shard: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const bytes = await bodyOf(request);
    if (bytes === undefined) {
      end(response, 413, `a result has at most ${maxResultBytes} bytes`);
      return;
    }
    const worker = request.headers["fedlora-worker"];
    const { status, text } = this.#onResult(shard, bytes, typeof worker === "string" ? worker.slice(0, 200) : "");
    end(response, status, text);
  }

  #isAllowed({ headers }: IncomingMessage): boolean {
    const given = Buffer.from(headers.authorization ?? "");
    const wanted = Buffer.from(`Bearer ${this.address.token}`);
    return given.byteLength === wanted.byteLength && timingSafeEqual(given, wanted);
  }

  async #send(hash: string, response: ServerResponse): Promise<void> {
    const held = this.#blobs.get(hash);
    const path = this.#files.get(hash);
    if (held !== undefined) {
      response.writeHead(200, { "content-length": held.bytes.byteLength });
      response.end(held.bytes);
    } else if (path !== undefined) {
      await pipeline(createReadStream(path), response);
    } else {
      end(response, 404, "not held any more");
    }
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status);
  response.end(status === 204 ? undefined : text);
}

/** Undefined: too much. Memory of its own and aligned, since tensors become views of it. */
async function bodyOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.byteLength;
    if (size > maxResultBytes) return undefined;
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}
