import { isBlobId, type BlobId } from "@fedlora/core";
import type { BlobRef, BlobRef__Output } from "../gen/fedlora/v1/BlobRef.js";
import { limits } from "../limits.js";
import { checkId, checkInt } from "./checks.js";

/** A blob and its size in bytes. */
export interface BlobReference {
  readonly id: BlobId;
  readonly size: number;
}

export function blobRefFromWire(wire: BlobRef__Output, field: string): BlobReference {
  return {
    id: checkId(wire.blobId, isBlobId, `${field}.blob_id`),
    size: checkInt(wire.size, `${field}.size`, 0, limits.blobBytes),
  };
}

export function optionalBlobRefFromWire(
  wire: BlobRef__Output | null | undefined,
  field: string,
): BlobReference | undefined {
  return wire === null || wire === undefined ? undefined : blobRefFromWire(wire, field);
}

export function blobRefToWire(ref: BlobReference | undefined): BlobRef | null {
  return ref === undefined ? null : { blobId: ref.id, size: ref.size };
}
