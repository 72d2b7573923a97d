import {
  assertUpdateLayout,
  codecOf,
  FedLoraError,
  fromFloat32,
  itemSize,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
  validateUpdate,
  type BlobId,
  type SafetensorsEntry,
  type Tensor,
  type TensorLayout,
  type UpdateCodec,
} from "@fedlora/core";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { UploadTicket } from "../service.js";
import type { BlobStore } from "../storage/storage.js";
import { KeyLock } from "./key-lock.js";

/** Bytes read and checked before other work gets its turn; about half a millisecond. */
const sliceBytes = 1024 * 1024;

/** Holds a stored update against its ticket and returns its L2 norm. */
export type UpdateValidator = (
  blob: { readonly id: BlobId; readonly size: number },
  ticket: Pick<UploadTicket, "layout" | "values" | "codec" | "maxNorm">,
) => Promise<number>;

type Entries = ReadonlyMap<string, SafetensorsEntry>;

/**
 * Checks a stored update with core's `validateUpdate`: exactly the tensors of the layout with their dtypes and shapes,
 * every value finite, the L2 norm at most `maxNorm`. Where each value is stored in a float of its own it is read in
 * slices: neither memory nor the event loop feels how large a tensor is. Updates of other codecs are decoded for it, one
 * update at a time, which takes memory for one tensor and for all that it is decoded from.
 *
 * Throws `safetensors-invalid`, `request-invalid` (the blob has another size than announced), `tensor-invalid` (nothing
 * encodes to this), and what `validateUpdate` throws.
 */
export function createUpdateValidator(blobs: BlobStore): UpdateValidator {
  const decoding = new KeyLock<"decoding">();
  return async ({ id, size }, { layout, values, codec: name, maxNorm }) => {
    const storedBytes = await blobs.size(id);
    if (storedBytes !== size) {
      throw new FedLoraError("request-invalid", `blob ${id} has ${storedBytes} bytes; ${size} were announced`);
    }
    const entries = await readEntries(blobs, id, size, layout);
    const buffer = Buffer.allocUnsafeSlow(Math.min(sliceBytes, size));
    const readEntry = (tensor: string): AsyncIterable<Uint8Array> => readSlices(blobs, id, entries.get(tensor), buffer);
    const codec = codecOf(name);
    if (!codec.isLossy) return validateUpdate(layout, { entries, read: readEntry }, maxNorm);
    assertUpdateLayout(layout, entries);
    return decoding.run("decoding", () => {
      const read = decodedTensors(codec, values, entries, readEntry);
      const decoded = new Map(values.map((spec) => [spec.name, spec]));
      return validateUpdate(values, { entries: decoded, read }, maxNorm);
    });
  };
}

/** Reads what a tensor is decoded from, keeps it for as long as the next tensor needs it as well, and decodes. */
function decodedTensors(
  codec: UpdateCodec,
  layout: TensorLayout,
  entries: Entries,
  readEntry: (name: string) => AsyncIterable<Uint8Array>,
): (name: string) => Promise<Tensor> {
  const shapes = new Map(layout.map(({ name, shape }) => [name, shape]));
  const decoder = codec.decoder(layout);
  let loaded = new Map<string, Uint8Array>();
  let open: ((name: string) => Float32Array) | undefined;
  return async (name) => {
    const sources = new Map<string, Uint8Array>();
    for (const source of decoder.sources(name)) {
      sources.set(source, loaded.get(source) ?? (await readWhole(entries.get(source), readEntry(source))));
    }
    loaded = sources;
    open ??= decoder.open((source, start, end) => {
      const size = itemSize[entries.get(source)?.dtype ?? "U8"];
      return loaded.get(source)?.subarray(start * size, end * size) ?? new Uint8Array(0);
    });
    await nextTurn();
    return fromFloat32(open(name), shapes.get(name) ?? []);
  };
}

async function readWhole(entry: SafetensorsEntry | undefined, slices: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const bytes = new Uint8Array(entry?.byteLength ?? 0);
  let at = 0;
  for await (const slice of slices) {
    bytes.set(slice, at);
    at += slice.byteLength;
  }
  return bytes;
}

async function readEntries(blobs: BlobStore, id: BlobId, size: number, layout: TensorLayout): Promise<Entries> {
  const length = readHeaderLength(await blobs.read(id, 0, Math.min(size, safetensorsPrefixBytes)), size);
  const allowed = headerBytesFor(layout);
  if (length > allowed) {
    const message = `the header has ${length} bytes; ${allowed} are enough for the plan's ${layout.length} tensors`;
    throw new FedLoraError("safetensors-invalid", message);
  }
  return parseSafetensorsHeader(await blobs.read(id, 0, safetensorsPrefixBytes + length), size).tensors;
}

/** A bound on the header of an honest update, so that a hostile one cannot keep the event loop busy with parsing. */
function headerBytesFor(layout: TensorLayout): number {
  const perTensor = 512;
  const metadata = 64 * 1024;
  return layout.reduce((bytes, { name }) => bytes + perTensor + 6 * name.length, metadata);
}

/** The bytes of a tensor, in slices that share the buffer. */
async function* readSlices(
  blobs: BlobStore,
  id: BlobId,
  entry: SafetensorsEntry | undefined,
  buffer: Uint8Array,
): AsyncGenerator<Uint8Array> {
  if (entry === undefined) return;
  const { offset, byteLength } = entry;
  for (let at = 0; at < byteLength; at += sliceBytes) {
    yield await blobs.read(id, offset + at, Math.min(sliceBytes, byteLength - at), buffer);
    await nextTurn();
  }
}
