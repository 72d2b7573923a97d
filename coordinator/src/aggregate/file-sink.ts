import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { FedLoraError, planSafetensors } from "@fedlora/core";
import type { TensorLayout } from "@fedlora/core";
import type { TensorSink } from "@fedlora/aggregators";

/**
 * Writes tensors straight into their places in a safetensors file, made at the first call. Float32, little endian. Several
 * threads may write to one file: one makes it, the others join when it has, and the one that made it closes last.
 */
export class FileSink implements TensorSink {
  readonly #path: string;
  readonly #role: "make" | "join";
  readonly #offsets = new Map<string, number>();
  #fd: number | undefined;

  constructor(path: string, role: "make" | "join" = "make") {
    this.#path = path;
    this.#role = role;
  }

  open(layout: TensorLayout): void {
    const { header, tensors } = planSafetensors(layout);
    this.#fd = openSync(this.#path, this.#role === "make" ? "w" : "r+", 0o600);
    if (this.#role === "make") writeSync(this.#fd, header, 0, header.byteLength, 0);
    for (const { name, offset } of tensors) this.#offsets.set(name, offset);
  }

  write(name: string, values: Float32Array, at = 0): void {
    const offset = this.#offsets.get(name);
    if (this.#fd === undefined || offset === undefined) {
      throw new FedLoraError("internal", `the delta was not opened for tensor "${name}"`);
    }
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let done = 0; done < bytes.byteLength;) {
      done += writeSync(this.#fd, bytes, done, bytes.byteLength - done, offset + 4 * at + done);
    }
  }

  /** May be called twice, and without `open`. */
  close(): void {
    if (this.#fd === undefined) return;
    if (this.#role === "make") fsyncSync(this.#fd);
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}
