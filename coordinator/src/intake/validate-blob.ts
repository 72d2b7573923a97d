import {
  assertUpdateLayout,
  FedLoraError,
  firstNonFinite,
  itemSize,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
  toFloat32,
  type BlobId,
  type DType,
  type SafetensorsEntry,
  type TensorLayout,
} from "@fedlora/core";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { UploadTicket } from "../service.js";
import type { BlobStore } from "../storage/storage.js";

/** Bytes read and checked before other work gets its turn; about half a millisecond. */
const sliceBytes = 1024 * 1024;

/** Holds a stored update against its ticket and returns its L2 norm. */
export type UpdateValidator = (
  blob: { readonly id: BlobId; readonly size: number },
  ticket: Pick<UploadTicket, "layout" | "maxNorm">,
) => Promise<number>;

/**
 * Checks an update as a safetensors file: exactly the tensors of the layout with their dtypes and shapes, every value finite,
 * the L2 norm of all values (in float64, in the layout's order) at most `maxNorm`. The same verdict and norm as core's `validateUpdate`, but read in slices: neither memory nor the event loop
 * feels how large a tensor is.
 *
 * Throws `safetensors-invalid`, `update-tensor-missing`, `update-tensor-unexpected`, `update-dtype`, `update-shape`,
 * `update-not-finite`, `update-norm`, `request-invalid` (the blob has another size than announced).
 */
export function createUpdateValidator(blobs: BlobStore): UpdateValidator {
  return async ({ id, size }, { layout, maxNorm }) => {
    const storedBytes = await blobs.size(id);
    if (storedBytes !== size) {
      throw new FedLoraError("request-invalid", `blob ${id} has ${storedBytes} bytes; ${size} were announced`);
    }
    const entries = await readEntries(blobs, id, size, layout);
    assertUpdateLayout(layout, entries);
    let squares = 0;
    const buffer = Buffer.allocUnsafeSlow(Math.min(sliceBytes, size));
    for (const { name } of layout) {
      const entry = entries.get(name);
      if (entry !== undefined) squares = await addTensor({ blobs, id, buffer }, name, entry, squares);
    }
    const norm = Math.sqrt(squares);
    if (maxNorm !== undefined && norm > maxNorm) {
      const message = `update: the L2 norm is ${norm}, the run allows ${maxNorm}`;
      throw new FedLoraError("update-norm", message, { details: { norm: String(norm), maxNorm: String(maxNorm) } });
    }
    return norm;
  };
}

async function readEntries(
  blobs: BlobStore,
  id: BlobId,
  size: number,
  layout: TensorLayout,
): Promise<ReadonlyMap<string, SafetensorsEntry>> {
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

/** Adds the squares of a tensor's values to `squares`, one after the other, so that slices change no bit of the sum. */
async function addTensor(
  from: { readonly blobs: BlobStore; readonly id: BlobId; readonly buffer: Uint8Array },
  name: string,
  { dtype, offset, byteLength }: SafetensorsEntry,
  squares: number,
): Promise<number> {
  let sum = squares;
  for (let at = 0; at < byteLength; at += sliceBytes) {
    const length = Math.min(sliceBytes, byteLength - at);
    const bytes = await from.blobs.read(from.id, offset + at, length, from.buffer);
    sum = addSlice(name, dtype, bytes, at, sum);
    await nextTurn();
  }
  return sum;
}

function addSlice(name: string, dtype: DType, bytes: Uint8Array, at: number, squares: number): number {
  const slice = { dtype, shape: [bytes.byteLength / itemSize[dtype]], bytes };
  const values = toFloat32(slice);
  let sum = squares;
  // A counted loop: for...of takes twice as long on a typed array.
  let next = 0;
  while (next < values.length) {
    const value = values[next] ?? 0;
    sum += value * value;
    next += 1;
  }
  // The squares of finite float32 values fit into a float64, so only NaN and infinities get here.
  if (Number.isFinite(sum)) return sum;
  const inSlice = firstNonFinite(slice);
  const index = at / itemSize[dtype] + inSlice;
  throw new FedLoraError(
    "update-not-finite",
    `update: tensor "${name}" is ${values[inSlice] ?? NaN} at index ${index}`,
    {
      details: { tensor: name, index: String(index) },
    },
  );
}
