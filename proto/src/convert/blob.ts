import { isBlobId, type BlobId } from "@fedlora/core";
import type { AdminBlobChunk__Output } from "../gen/fedlora/v1/AdminBlobChunk.js";
import type { AdminPutBlobRequest__Output } from "../gen/fedlora/v1/AdminPutBlobRequest.js";
import type { BlobChunk as WireChunk, BlobChunk__Output } from "../gen/fedlora/v1/BlobChunk.js";
import type { GetBlobRequest__Output } from "../gen/fedlora/v1/GetBlobRequest.js";
import { limits } from "../limits.js";
import { optionalBlobRefFromWire, type BlobReference } from "./blob-ref.js";
import { checkBytes, checkId, checkInt, invalid } from "./checks.js";

/** One hashed piece of a blob; `data` may be a view into a received message: copy it before keeping it. */
export interface BlobChunk {
  readonly offset: number;
  readonly data: Uint8Array;
  /** SHA-256 of `data`, 32 bytes. Converters check its length, whoever stores the chunk checks its value. */
  readonly sha256: Uint8Array;
  /** Size of the whole blob in bytes. */
  readonly total: number;
}

export interface BlobRange {
  readonly id: BlobId;
  /** A multiple of the chunk size. */
  readonly offset: number;
  /** undefined: to the end. */
  readonly length: number | undefined;
}

export function blobRangeFromWire(wire: GetBlobRequest__Output): BlobRange {
  const offset = checkInt(wire.offset, "offset", 0, limits.blobBytes);
  if (offset % limits.chunkBytes !== 0) throw invalid("offset", `is ${offset}`, `a multiple of ${limits.chunkBytes}`);
  const length = checkInt(wire.length, "length", 0, limits.blobBytes);
  return { id: checkId(wire.blobId, isBlobId, "blob_id"), offset, length: length === 0 ? undefined : length };
}

export function blobChunkToWire(chunk: BlobChunk): WireChunk {
  return { offset: chunk.offset, data: asBuffer(chunk.data), sha256: asBuffer(chunk.sha256), total: chunk.total };
}

export function blobChunkFromWire(wire: BlobChunk__Output | AdminBlobChunk__Output): BlobChunk {
  const total = checkInt(wire.total, "total", 0, limits.blobBytes);
  return {
    offset: checkInt(wire.offset, "offset", 0, total),
    data: checkBytes(wire.data, "data", 0, limits.chunkBytes),
    sha256: checkBytes(wire.sha256, "sha256", 32, 32),
    total,
  };
}

/** A piece of a blob that an operator sends; the first one names it. */
export interface BlobPiece {
  readonly blob: BlobReference | undefined;
  /** 256 KiB, but for the last piece. */
  readonly data: Uint8Array;
}

export function blobPieceFromWire(wire: AdminPutBlobRequest__Output): BlobPiece {
  return {
    blob: optionalBlobRefFromWire(wire.blob, "blob"),
    data: checkBytes(wire.data, "data", 0, limits.chunkBytes),
  };
}

/** The same memory as a Buffer: protobufjs encodes Buffers without a copy of their own. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
