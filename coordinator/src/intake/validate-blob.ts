import {
  assertUpdateLayout,
  codecOf,
  FedLoraError,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
  validateUpdate,
  type BlobId,
  type SafetensorsEntry,
  type SafetensorsHeader,
  type TensorLayout,
} from "@fedlora/core";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { UploadTicket } from "../service.js";
import type { BlobStore } from "../storage/storage.js";
import { decodedTensors } from "./decoded-tensors.js";
import { KeyLock } from "./key-lock.js";

/** Bytes read and checked before other work gets its turn; about half a millisecond. */
const sliceBytes = 1024 * 1024;

/** Holds a stored update against its ticket and returns its L2 norm. */
export type UpdateValidator = (
  blob: { readonly id: BlobId; readonly size: number },
  ticket: Pick<UploadTicket, "layout" | "values" | "codec" | "frozen" | "maxNorm">,
) => Promise<number>;

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
  return async ({ id, size }, { layout, values, codec: name, frozen, maxNorm }) => {
    const storedBytes = await blobs.size(id);
    if (storedBytes !== size) {
      throw new FedLoraError("request-invalid", `blob ${id} has ${storedBytes} bytes; ${size} were announced`);
    }
    const { tensors: entries, metadata } = await readHeader(blobs, id, size, layout);
    assertFrozen(frozen, metadata.get("frozen"));
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

/** Factors trained against other frozen ones multiply to something else: such an update is worth nothing to the others. */
function assertFrozen(expected: readonly BlobId[], claimed: string | undefined): void {
  if (expected.length === 0 || claimed === expected.join(" ")) return;
  const got = claimed === undefined ? "the update names none" : `the update was trained on ${claimed.slice(0, 200)}`;
  throw new FedLoraError("update-frozen-mismatch", `the plan's frozen tensors are ${expected.join(" ")}; ${got}`);
}

async function readHeader(
  blobs: BlobStore,
  id: BlobId,
  size: number,
  layout: TensorLayout,
): Promise<SafetensorsHeader> {
  const length = readHeaderLength(await blobs.read(id, 0, Math.min(size, safetensorsPrefixBytes)), size);
  const allowed = headerBytesFor(layout);
  if (length > allowed) {
    const message = `the header has ${length} bytes; ${allowed} are enough for the plan's ${layout.length} tensors`;
    throw new FedLoraError("safetensors-invalid", message);
  }
  return parseSafetensorsHeader(await blobs.read(id, 0, safetensorsPrefixBytes + length), size);
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
