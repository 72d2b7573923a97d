import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { FedLoraError } from "../errors.js";
import { itemSize } from "../tensor/dtype.js";
import { parseSafetensorsHeader, readHeaderLength, safetensorsPrefixBytes } from "../tensor/safetensors-header.js";
import type { SafetensorsEntry, SafetensorsHeader } from "../tensor/safetensors-header.js";
import { planSafetensors } from "../tensor/safetensors.js";
import type { SafetensorsOptions } from "../tensor/safetensors.js";
import type { Tensor, TensorLayout } from "../tensor/tensor.js";
import { writeFileAtomically } from "./files.js";

/** An open safetensors file whose tensors are read one by one, so that memory holds one tensor at a time. */
export class SafetensorsFile {
  readonly path: string;
  readonly header: SafetensorsHeader;
  readonly #fd: number;
  #closed = false;

  /** @throws FedLoraError `file-missing`, `safetensors-invalid` */
  constructor(path: string) {
    this.path = path;
    try {
      this.#fd = openSync(path, "r");
    } catch (cause) {
      throw new FedLoraError("file-missing", `cannot open "${path}"`, { cause });
    }
    try {
      const { size } = fstatSync(this.#fd);
      const length = readHeaderLength(this.#read(0, Math.min(size, safetensorsPrefixBytes)), size);
      this.header = parseSafetensorsHeader(this.#read(0, safetensorsPrefixBytes + length), size);
    } catch (error) {
      this.close();
      if (!(error instanceof FedLoraError)) throw error;
      throw new FedLoraError(error.code, `"${path}": ${error.message}`, { details: error.details, cause: error });
    }
  }

  /** @throws FedLoraError `tensor-invalid` when the file has no tensor of that name */
  entry(name: string): SafetensorsEntry {
    const entry = this.header.tensors.get(name);
    if (entry === undefined) throw new FedLoraError("tensor-invalid", `"${this.path}" has no tensor "${name}"`);
    return entry;
  }

  /**
   * Reads one tensor. Its bytes are written into `buffer` where one is given that is large enough, which the next read
   * may then overwrite; otherwise into fresh memory.
   */
  read(name: string, buffer?: Uint8Array): Tensor {
    const { dtype, shape, offset, byteLength } = this.entry(name);
    const fits = buffer !== undefined && buffer.byteLength >= byteLength;
    return { dtype, shape, bytes: this.#read(offset, byteLength, fits ? buffer.subarray(0, byteLength) : undefined) };
  }

  /** `count` elements of a tensor from flat index `from` on, as a tensor of one dimension. */
  readPart(name: string, from: number, count: number): Tensor {
    const { dtype, offset } = this.entry(name);
    const size = itemSize[dtype];
    return { dtype, shape: [count], bytes: this.#read(offset + from * size, count * size) };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  #read(offset: number, length: number, target: Uint8Array = new Uint8Array(length)): Uint8Array {
    for (let at = 0; at < length;) {
      const count = readSync(this.#fd, target, at, length - at, offset + at);
      if (count === 0) throw new FedLoraError("file-invalid", `"${this.path}" ends at byte ${offset + at}`);
      at += count;
    }
    return target;
  }
}

/**
 * Writes a safetensors file tensor by tensor, atomically and durably. `bytesOf` is asked once per tensor, in the order
 * of the file, for exactly the bytes of its shape.
 *
 * @throws FedLoraError `tensor-invalid` when a tensor has another number of bytes
 */
export async function writeSafetensorsFile(
  path: string,
  layout: TensorLayout,
  bytesOf: (name: string) => Uint8Array | Promise<Uint8Array>,
  options: SafetensorsOptions = {},
): Promise<void> {
  const plan = planSafetensors(layout, options);
  await writeFileAtomically(path, async (file) => {
    await writeAt(file, plan.header, 0);
    for (const { name, offset, byteLength } of plan.tensors) {
      const bytes = await bytesOf(name);
      if (bytes.byteLength !== byteLength) {
        throw new FedLoraError("tensor-invalid", `tensor "${name}" needs ${byteLength} bytes, got ${bytes.byteLength}`);
      }
      await writeAt(file, bytes, offset);
    }
    // Padding between tensors was never written and reads as zeros; a tensor of no bytes may leave the end short.
    await file.truncate(plan.fileSize);
  });
}

async function writeAt(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) {
    at += (await file.write(bytes, at, bytes.byteLength - at, offset + at)).bytesWritten;
  }
}
