import { isPlanId, type PlanId } from "@fedlora/core";
import type { BeginUploadRequest, BeginUploadRequest__Output } from "../gen/fedlora/v1/BeginUploadRequest.js";
import type { BeginUploadResponse, BeginUploadResponse__Output } from "../gen/fedlora/v1/BeginUploadResponse.js";
import type { PutChunkRequest, PutChunkRequest__Output } from "../gen/fedlora/v1/PutChunkRequest.js";
import type { PutChunkResponse__Output } from "../gen/fedlora/v1/PutChunkResponse.js";
import { limits } from "../limits.js";
import { asBuffer, type BlobChunk } from "./blob.js";
import { blobRefFromWire, blobRefToWire, type BlobReference } from "./blob-ref.js";
import { checkBytes, checkId, checkInt, checkPresent, checkText } from "./checks.js";

export interface UploadStart {
  readonly planId: PlanId;
  readonly blob: BlobReference;
}

export interface UploadState {
  readonly uploadId: string;
  /** Everything before it is verified and survives a restart of the coordinator. */
  readonly nextOffset: number;
  /** The blob is complete already: commit it. */
  readonly complete: boolean;
}

export interface UploadChunk extends Omit<BlobChunk, "total"> {
  readonly uploadId: string;
}

export function uploadStartFromWire(wire: BeginUploadRequest__Output): UploadStart {
  return {
    planId: checkId(wire.planId, isPlanId, "plan_id"),
    blob: blobRefFromWire(checkPresent(wire.blob, "blob"), "blob"),
  };
}

export function uploadStartToWire(start: UploadStart): BeginUploadRequest {
  return { planId: start.planId, blob: blobRefToWire(start.blob) };
}

export function uploadStateToWire(state: UploadState): BeginUploadResponse {
  return { ...state, chunkBytes: limits.chunkBytes };
}

export function uploadStateFromWire(wire: BeginUploadResponse__Output): UploadState {
  return {
    uploadId: checkText(wire.uploadId, "upload_id", limits.nameChars, 1),
    nextOffset: nextOffsetFromWire(wire),
    complete: wire.complete,
  };
}

export function uploadChunkFromWire(wire: PutChunkRequest__Output): UploadChunk {
  return {
    uploadId: checkText(wire.uploadId, "upload_id", limits.nameChars, 1),
    offset: checkInt(wire.offset, "offset", 0, limits.blobBytes),
    data: checkBytes(wire.data, "data", 1, limits.chunkBytes),
    sha256: checkBytes(wire.sha256, "sha256", 32, 32),
  };
}

export function uploadChunkToWire(chunk: UploadChunk): PutChunkRequest {
  return {
    uploadId: chunk.uploadId,
    offset: chunk.offset,
    data: asBuffer(chunk.data),
    sha256: asBuffer(chunk.sha256),
  };
}

export function nextOffsetFromWire(wire: Pick<PutChunkResponse__Output, "nextOffset">): number {
  return checkInt(wire.nextOffset, "next_offset", 0, limits.blobBytes);
}
