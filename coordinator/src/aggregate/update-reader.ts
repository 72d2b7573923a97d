import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { UpdateView } from "@fedlora/aggregators";
import {
  assertUpdateLayout,
  BlobHasher,
  FedLoraError,
  chunkBytes,
  codecOf,
  itemSize,
  layoutsEqual,
  openNow,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
} from "@fedlora/core";
import type { SafetensorsHeader, TensorLayout, TensorReader, UpdateDecoder } from "@fedlora/core";
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

/** What updates of one codec and layout have in common. */
interface Form {
  readonly codec: string;
  readonly layout: TensorLayout;
  /** Of the decoded tensors. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly encoded: TensorLayout;
  readonly decoder: UpdateDecoder;
  /** The header that was last held against `encoded`. */
  header: SafetensorsHeader | undefined;
}

interface OpenedUpdate {
  readonly form: Form;
  readonly decoded: TensorReader;
}

/**
 * Reads stored updates tensor by tensor, one file open at a time, through the same buffers: memory depends on the largest
 * tensor and on what a decoder keeps to find its way, and nothing but small objects is left to the garbage collector.
 */
export class UpdateReader {
  readonly #forms: Form[] = [];
  readonly #headers: KnownHeader[] = [];
  /** By update id: finding one's way in an encoded update may take a reading of all of it. */
  readonly #opened = new Map<string, OpenedUpdate>();
  #buffer = new Uint8Array(0);
  #headerBuffer = new Uint8Array(4096);
  #current: { readonly fd: number; readonly update: UpdateFile; readonly header: SafetensorsHeader } | undefined;

  /**
   * Opens an update for one visit.
   *
   * @throws FedLoraError `blob-not-found`, `safetensors-invalid`, `update-tensor-missing`, `update-tensor-unexpected`,
   *   `update-dtype`, `update-shape`, `tensor-invalid`, and from the view `update-tensor-missing`, `tensor-invalid`
   */
  visit(update: UpdateFile, visit: (view: UpdateView) => void): void {
    const fd = openBlob(update);
    try {
      const header = this.#header(fd, update);
      this.#current = { fd, update, header };
      const { form, decoded } = this.#open(update, header);
      const tensor = (name: string): Float32Array => {
        if (form.shapes.has(name)) return decoded(name);
        throw new FedLoraError("update-tensor-missing", `update "${update.id}" has no tensor "${name}"`, {
          details: { updateId: update.id, tensor: name },
        });
      };
      const shape = (name: string): readonly number[] | undefined => form.shapes.get(name);
      const { id, clientId, weight, numExamples, numSteps, staleness, receivedLoss } = update;
      visit({ id, clientId, weight, numExamples, numSteps, staleness, receivedLoss, shape, tensor });
    } finally {
      this.#current = undefined;
      closeSync(fd);
    }
  }

  #form({ codec, layout }: UpdateFile): Form {
    const known = this.#forms.find(
      (form) => form.codec === codec && (form.layout === layout || layoutsEqual(form.layout, layout)),
    );
    if (known !== undefined) return known;
    const updateCodec = codecOf(codec);
    const form: Form = {
      codec,
      layout,
      shapes: new Map(layout.map(({ name, shape }) => [name, shape])),
      encoded: updateCodec.encodedLayout(layout),
      decoder: updateCodec.decoder(layout),
      header: undefined,
    };
    this.#forms.push(form);
    return form;
  }

  #open(update: UpdateFile, header: SafetensorsHeader): OpenedUpdate {
    const known = this.#opened.get(update.id);
    if (known !== undefined) return known;
    const form = this.#form(update);
    assertHeader(header, form, update);
    const opened = { form, decoded: openNow(form.decoder.open(this.#read)) };
    this.#opened.set(update.id, opened);
    return opened;
  }

  /** Elements of an encoded tensor of the update that is visited. */
  readonly #read = (name: string, start: number, end: number): Uint8Array => {
    const entry = this.#current?.header.tensors.get(name);
    if (this.#current === undefined || entry === undefined) {
      throw new FedLoraError("internal", `tensor "${name}" was read outside a visit`);
    }
    const size = itemSize[entry.dtype];
    const length = (end - start) * size;
    if (this.#buffer.byteLength < length) this.#buffer = new Uint8Array(length);
    const bytes = this.#buffer.subarray(0, length);
    readExactly(this.#current.fd, bytes, entry.offset + start * size, this.#current.update);
    return bytes;
  };

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

/** Files of one layout share their header, so this is compared once and not for every file. */
function assertHeader(header: SafetensorsHeader, form: Form, { id }: UpdateFile): void {
  if (form.header === header) return;
  try {
    assertUpdateLayout(form.encoded, header.tensors);
  } catch (thrown) {
    const { code, message, details } = FedLoraError.from(thrown);
    throw new FedLoraError(code, `"${id}": ${message}`, { details: { ...details, updateId: id }, cause: thrown });
  }
  form.header = header;
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
