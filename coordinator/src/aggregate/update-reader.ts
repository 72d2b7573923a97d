import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { UpdateView } from "@fedlora/aggregators";
import {
  BlobHasher,
  FedLoraError,
  chunkBytes,
  elementCount,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
  toFloat32,
} from "@fedlora/core";
import type { SafetensorsHeader, TensorSpec } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import type { BlobFile, UpdateFile } from "./aggregation.js";

/** Distinct headers kept; updates of one plan share theirs, so one is the rule. */
const maxHeaders = 8;

/** A header as it was read and what it says. */
interface KnownHeader {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly header: SafetensorsHeader;
}

/**
 * Reads stored updates tensor by tensor, one file open at a time, through the same two buffers: memory depends on the
 * largest tensor, not on the number of updates, and nothing but small objects is left to the garbage collector.
 */
export class UpdateReader {
  readonly #shapes: ReadonlyMap<string, TensorSpec>;
  readonly #headers: KnownHeader[] = [];
  readonly #buffer: Uint8Array<ArrayBuffer>;
  #headerBuffer = new Uint8Array(4096);

  /** @param layout the adapter's tensors at full rank */
  constructor(layout: readonly TensorSpec[]) {
    this.#shapes = new Map(layout.map((spec) => [spec.name, spec]));
    this.#buffer = new Uint8Array(4 * Math.max(1, ...layout.map(({ shape }) => elementCount(shape))));
  }

  /**
   * Opens an update for one visit.
   *
   * @throws FedLoraError `blob-not-found`, `safetensors-invalid`, and from the view `update-tensor-missing`,
   *   `update-shape`
   */
  visit(update: UpdateFile, visit: (view: UpdateView) => void): void {
    const fd = openBlob(update);
    try {
      const header = this.#header(fd, update);
      const tensor = (name: string): Float32Array => this.#tensor(fd, update, header, name);
      const shape = (name: string): readonly number[] | undefined => header.tensors.get(name)?.shape;
      const { id, clientId, weight, numExamples, numSteps, staleness, receivedLoss } = update;
      visit({ id, clientId, weight, numExamples, numSteps, staleness, receivedLoss, shape, tensor });
    } finally {
      closeSync(fd);
    }
  }

  #tensor(fd: number, update: UpdateFile, header: SafetensorsHeader, name: string): Float32Array {
    const entry = header.tensors.get(name);
    const spec = this.#shapes.get(name);
    if (entry === undefined || spec === undefined) {
      throw new FedLoraError("update-tensor-missing", `update "${update.id}" has no tensor "${name}"`, {
        details: { updateId: update.id, tensor: name },
      });
    }
    const { dtype, shape, offset, byteLength } = entry;
    if (elementCount(shape) !== elementCount(spec.shape) || byteLength > this.#buffer.byteLength) {
      throw new FedLoraError(
        "update-shape",
        `tensor "${name}" of update "${update.id}" is ${dtype} [${shape.join(", ")}], expected [${spec.shape.join(", ")}]`,
        { details: { updateId: update.id, tensor: name } },
      );
    }
    const bytes = this.#buffer.subarray(0, byteLength);
    readExactly(fd, bytes, offset, update);
    return toFloat32({ dtype, shape, bytes });
  }

  /** The files of a round have the same header; parsing it costs more than reading a module's tensors. */
  #header(fd: number, update: UpdateFile): SafetensorsHeader {
    const { size } = fstatSync(fd);
    const prefix = this.#headerBuffer.subarray(0, Math.min(size, safetensorsPrefixBytes));
    readExactly(fd, prefix, 0, update);
    const length = safetensorsPrefixBytes + readHeaderLength(prefix, size);
    if (length > this.#headerBuffer.byteLength) this.#headerBuffer = new Uint8Array(length);
    const bytes = this.#headerBuffer.subarray(0, length);
    readExactly(fd, bytes, 0, update);
    const known = this.#headers.find((other) => other.size === size && Buffer.compare(other.bytes, bytes) === 0);
    if (known !== undefined) return known.header;
    const header = parseSafetensorsHeader(bytes, size);
    if (this.#headers.length >= maxHeaders) this.#headers.shift();
    this.#headers.push({ size, bytes: bytes.slice(), header });
    return header;
  }
}

/** Shared by all readings: `verifyBlob` is synchronous. */
const chunk = new Uint8Array(chunkBytes);

/**
 * Reads a stored blob once and compares it with its id. Done for every file before any is folded: what is folded was
 * stored, byte for byte, and the second reading usually comes from the page cache.
 *
 * @throws FedLoraError `blob-not-found`, `blob-hash-mismatch`
 */
export function verifyBlob(blob: BlobFile & Partial<Pick<UpdateFile, "id">>): void {
  const fd = openBlob(blob);
  try {
    const hasher = new BlobHasher(nodeSha256);
    for (let at = 0, count = -1; count !== 0; at += count) {
      count = readSync(fd, chunk, 0, chunk.byteLength, at);
      hasher.update(chunk.subarray(0, count));
    }
    const { id } = hasher.finish();
    if (id === blob.blobId) return;
    const updateId = blob.id === undefined ? {} : { updateId: blob.id };
    throw new FedLoraError("blob-hash-mismatch", `stored blob "${blob.path}" hashes to ${id}, not to ${blob.blobId}`, {
      details: { blobId: blob.blobId, ...updateId },
    });
  } finally {
    closeSync(fd);
  }
}

function openBlob({ path, blobId }: BlobFile): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new FedLoraError("blob-not-found", `stored blob "${path}" cannot be opened`, { details: { blobId }, cause });
  }
}

function readExactly(fd: number, bytes: Uint8Array, offset: number, { blobId, path }: BlobFile): void {
  for (let at = 0; at < bytes.byteLength;) {
    const count = readSync(fd, bytes, at, bytes.byteLength - at, offset + at);
    if (count === 0) {
      throw new FedLoraError("blob-hash-mismatch", `stored blob "${path}" ends at byte ${offset + at}`, {
        details: { blobId },
      });
    }
    at += count;
  }
}
