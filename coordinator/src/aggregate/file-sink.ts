import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { FedLoraError, planSafetensors } from "@fedlora/core";
import type { TensorLayout } from "@fedlora/core";
import type { TensorSink } from "@fedlora/aggregators";

/** Writes tensors straight into their places in a safetensors file, made at the first call. Float32, little endian. */
export class FileSink implements TensorSink {
  readonly #path: string;
  readonly #offsets = new Map<string, number>();
  #fd: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  open(layout: TensorLayout): void {
    const { header, tensors } = planSafetensors(layout);
    this.#fd = openSync(this.#path, "w", 0o600);
    writeSync(this.#fd, header, 0, header.byteLength, 0);
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
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}
