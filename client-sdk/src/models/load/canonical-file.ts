import { bf16ToF32, elementCount, f16ToF32, FedLoraError, itemSize, toHex } from "@fedlora/core";
import { replaceFile, sha256OfFile, writeSafetensorsFile } from "@fedlora/core/node";
import { createHash } from "node:crypto";
import { mkdir, open, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CanonicalTensor } from "./map-weights.js";

/** Runtimes map weights from the file; this is the alignment of the widest vector loads. */
const alignmentBytes = 64;
/** Between two pieces the event loop turns: about 2 ms of hashing and widening. */
const pieceBytes = 1024 * 1024;

export interface CanonicalFileRequest {
  readonly cacheFolder: string;
  /** The base model's content hash; the file is named by it. */
  readonly hash: string;
  /** In canonical order. */
  readonly tensors: readonly CanonicalTensor[];
  /** SHA-256 of each tensor's stored bytes, as the content hash was taken over them. */
  readonly tensorHashes: ReadonlyMap<string, string>;
}

/**
 * The canonical weights file, from the cache where an intact one is there, otherwise written. One tensor is in memory
 * at a time. Several processes may do this at once: each writes its own temporary file, and the names appear whole.
 *
 * A text file beside it holds the SHA-256 of the whole file, so that a damaged cache is noticed and replaced.
 *
 * @returns its absolute path
 * @throws FedLoraError `model-hash-mismatch` where the model's files changed since they were hashed
 */
export async function ensureCanonicalFile(request: CanonicalFileRequest): Promise<string> {
  const path = resolve(join(request.cacheFolder, `${request.hash}.safetensors`));
  const checkPath = `${path}.sha256`;
  if (await isIntact(path, checkPath)) return path;
  await mkdir(request.cacheFolder, { recursive: true });
  const byName = new Map(request.tensors.map((tensor) => [tensor.name, tensor]));
  await writeSafetensorsFile(
    path,
    request.tensors.map(({ name, shape }) => ({ name, dtype: "F32", shape })),
    (name) => readWidened(byName.get(name), name, request.tensorHashes.get(name)),
    { alignment: alignmentBytes, alignTensors: true, metadata: { base_model_hash: request.hash } },
  );
  await replaceFile(checkPath, `${await sha256OfFile(path)}\n`);
  return path;
}

async function isIntact(path: string, checkPath: string): Promise<boolean> {
  try {
    const expected = (await readFile(checkPath, "utf8")).trim();
    return expected === (await sha256OfFile(path));
  } catch {
    return false;
  }
}

/**
 * F32 bytes of a stored tensor, read in pieces and compared with its hash on the way.
 *
 * @throws FedLoraError `model-hash-mismatch` where the file changed since it was hashed
 */
export async function readWidened(
  tensor: CanonicalTensor | undefined,
  name: string,
  expectedHash: string | undefined,
): Promise<Uint8Array> {
  if (tensor === undefined) throw new FedLoraError("internal", `no tensor "${name}" was mapped`);
  const values = new Float32Array(elementCount(tensor.shape));
  const piece = new Uint8Array(Math.min(pieceBytes, Math.max(1, tensor.byteLength)));
  const hash = createHash("sha256");
  const file = await open(tensor.path);
  try {
    for (let at = 0; at < tensor.byteLength;) {
      const wanted = Math.min(piece.byteLength, tensor.byteLength - at);
      const { bytesRead } = await file.read(piece, 0, wanted, tensor.offset + at);
      if (bytesRead !== wanted) throw changed(tensor);
      const bytes = piece.subarray(0, wanted);
      hash.update(bytes);
      widen(bytes, tensor.dtype, values.subarray(at / itemSize[tensor.dtype]));
      at += wanted;
    }
  } finally {
    await file.close();
  }
  if (toHex(hash.digest()) !== expectedHash) throw changed(tensor);
  return new Uint8Array(values.buffer);
}

/** `out` may be longer than the piece; the piece begins at an even address and holds whole elements. */
function widen(bytes: Uint8Array, dtype: CanonicalTensor["dtype"], out: Float32Array<ArrayBuffer>): void {
  const length = bytes.byteLength / itemSize[dtype];
  const target = out.subarray(0, length);
  if (dtype === "F16") f16ToF32(new Uint16Array(bytes.buffer, bytes.byteOffset, length), target);
  else if (dtype === "BF16") bf16ToF32(new Uint16Array(bytes.buffer, bytes.byteOffset, length), target);
  else target.set(new Float32Array(bytes.buffer, bytes.byteOffset, length));
}

function changed(tensor: CanonicalTensor): FedLoraError {
  return new FedLoraError(
    "model-hash-mismatch",
    `"${tensor.storedName}" of "${tensor.path}" changed after the model was loaded; load it again`,
    { details: { tensor: tensor.name } },
  );
}
