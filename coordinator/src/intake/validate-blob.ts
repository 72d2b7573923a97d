import {
  FedLoraError,
  firstNonFinite,
  itemSize,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
  shapesEqual,
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
 * the L2 norm of all values (in float64, in file order) at most `maxNorm`. Reads slices, never a whole tensor.
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
    assertLayout(entries, layout);
    let squares = 0;
    for (const [name, entry] of entries) squares += await sumOfSquares(blobs, id, name, entry);
    const norm = Math.sqrt(squares);
    if (maxNorm !== undefined && norm > maxNorm) {
      const message = `the update's L2 norm is ${norm}; the run allows ${maxNorm}`;
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

function assertLayout(entries: ReadonlyMap<string, SafetensorsEntry>, layout: TensorLayout): void {
  for (const { name, dtype, shape } of layout) {
    const entry = entries.get(name);
    if (entry === undefined) throw refused("update-tensor-missing", name, `the update lacks tensor "${name}"`);
    if (entry.dtype !== dtype) {
      throw refused("update-dtype", name, `tensor "${name}" is ${entry.dtype}; the plan asks for ${dtype}`);
    }
    if (!shapesEqual(entry.shape, shape)) {
      const message = `tensor "${name}" has shape [${entry.shape.join(", ")}]; the plan asks for [${shape.join(", ")}]`;
      throw refused("update-shape", name, message);
    }
  }
  if (entries.size === layout.length) return;
  const expected = new Set(layout.map(({ name }) => name));
  for (const name of entries.keys()) {
    if (!expected.has(name)) {
      throw refused("update-tensor-unexpected", name, `tensor ${JSON.stringify(name)} is not in the plan's layout`);
    }
  }
}

async function sumOfSquares(blobs: BlobStore, id: BlobId, name: string, entry: SafetensorsEntry): Promise<number> {
  const { dtype, offset, byteLength } = entry;
  let squares = 0;
  for (let at = 0; at < byteLength; at += sliceBytes) {
    const bytes = await blobs.read(id, offset + at, Math.min(sliceBytes, byteLength - at));
    squares += squaresOf(name, dtype, bytes, at);
    await nextTurn();
  }
  return squares;
}

function squaresOf(name: string, dtype: DType, bytes: Uint8Array, at: number): number {
  const slice = { dtype, shape: [bytes.byteLength / itemSize[dtype]], bytes };
  let squares = 0;
  for (const value of toFloat32(slice)) squares += value * value;
  // The square of a finite float32 fits into a float64, so only NaN and infinities get here.
  if (Number.isFinite(squares)) return squares;
  const index = at / itemSize[dtype] + firstNonFinite(slice);
  throw refused("update-not-finite", name, `tensor "${name}" holds NaN or infinity at index ${index}`);
}

function refused(
  code: "update-tensor-missing" | "update-tensor-unexpected" | "update-dtype" | "update-shape" | "update-not-finite",
  tensor: string,
  message: string,
): FedLoraError {
  return new FedLoraError(code, message, { details: { tensor } });
}
