import type { BaseDelta, BaseDelta__Output } from "../gen/fedlora/v1/BaseDelta.js";
import { blobRefFromWire, blobRefToWire, type BlobReference } from "./blob-ref.js";
import { checkInt, checkPresent } from "./checks.js";

/** A change of the base weights, from one version to the next. */
export interface BaseDeltaReference {
  readonly fromVersion: number;
  readonly toVersion: number;
  readonly blob: BlobReference;
}

export function baseDeltaToWire({ fromVersion, toVersion, blob }: BaseDeltaReference): BaseDelta {
  return { fromVersion, toVersion, blob: blobRefToWire(blob) };
}

export function baseDeltaFromWire(wire: BaseDelta__Output, field: string): BaseDeltaReference {
  return {
    fromVersion: checkInt(wire.fromVersion, `${field}.from_version`),
    toVersion: checkInt(wire.toVersion, `${field}.to_version`, 1),
    blob: blobRefFromWire(checkPresent(wire.blob, `${field}.blob`), `${field}.blob`),
  };
}
