import { isRunId, type RunId } from "@fedlora/core";
import type { GetExportRequest__Output } from "../gen/fedlora/v1/GetExportRequest.js";
import type { GetExportResponse, GetExportResponse__Output } from "../gen/fedlora/v1/GetExportResponse.js";
import { limits } from "../limits.js";
import { blobRefFromWire, blobRefToWire, type BlobReference } from "./blob-ref.js";
import { baseDeltaFromWire, baseDeltaToWire, type BaseDeltaReference } from "./base-delta.js";
import { checkId, checkInt, checkList, checkPresent, checkText } from "./checks.js";
import { parseJsonObject } from "./json.js";

export interface ExportQuestion {
  readonly runId: RunId;
  /** 0: the best round, or the last where nothing was evaluated. */
  readonly round: number;
  readonly form: string;
}

export interface ExportedAdapter {
  readonly adapter: BlobReference;
  /** PEFT's adapter_config.json as a value. */
  readonly adapterConfig: Readonly<Record<string, unknown>>;
  readonly round: number;
  /** What the adapter's base weights differ by from the base model, oldest first. */
  readonly baseDeltas: readonly BaseDeltaReference[];
}

export function exportFromWire(wire: GetExportRequest__Output): ExportQuestion {
  return {
    runId: checkId(wire.runId, isRunId, "run_id"),
    round: checkInt(wire.round, "round"),
    form: checkText(wire.form, "form", limits.keyChars, 1),
  };
}

export function exportedAdapterToWire(exported: ExportedAdapter): GetExportResponse {
  return {
    adapter: blobRefToWire(exported.adapter),
    adapterConfigJson: JSON.stringify(exported.adapterConfig),
    round: exported.round,
    baseDeltas: exported.baseDeltas.map(baseDeltaToWire),
  };
}

export function exportedAdapterFromWire(wire: GetExportResponse__Output): ExportedAdapter {
  return {
    adapter: blobRefFromWire(checkPresent(wire.adapter, "adapter"), "adapter"),
    adapterConfig: parseJsonObject(wire.adapterConfigJson, "adapter_config_json", limits.jsonChars),
    baseDeltas: checkList(wire.baseDeltas, "base_deltas", limits.baseDeltas, baseDeltaFromWire),
    round: checkInt(wire.round, "round"),
  };
}
