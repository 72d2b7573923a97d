import type { AuditRecord, AuditRecord__Output } from "../gen/fedlora/v1/AuditRecord.js";
import type { RunEvent, RunEvent__Output } from "../gen/fedlora/v1/RunEvent.js";
import { limits } from "../limits.js";
import { checkInt, checkText } from "./checks.js";
import { parseJsonObject } from "./json.js";

/**
 * An event of a run; `sequence` is 0 for progress that is not journaled. `data` is stable per kind
 * (docs/reference/run-events.md).
 */
export interface RunEventRecord {
  readonly sequence: number;
  readonly kind: string;
  readonly round: number;
  readonly clientId: string;
  readonly atMs: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface AuditedFact {
  readonly sequence: number;
  readonly fact: Readonly<Record<string, unknown>>;
}

export function runEventToWire(event: RunEventRecord): RunEvent {
  return {
    sequence: event.sequence,
    kind: event.kind,
    round: event.round,
    clientId: event.clientId,
    atMs: Math.floor(event.atMs),
    json: JSON.stringify(event.data),
  };
}

export function runEventFromWire(wire: RunEvent__Output): RunEventRecord {
  return {
    sequence: checkInt(wire.sequence, "sequence"),
    kind: checkText(wire.kind, "kind", limits.keyChars, 1),
    round: checkInt(wire.round, "round"),
    clientId: checkText(wire.clientId, "client_id", limits.nameChars),
    atMs: checkInt(wire.atMs, "at_ms"),
    data: parseJsonObject(wire.json, "json", limits.jsonChars),
  };
}

export function auditRecordToWire(record: AuditedFact): AuditRecord {
  return { sequence: record.sequence, json: JSON.stringify(record.fact) };
}

export function auditRecordFromWire(wire: AuditRecord__Output): AuditedFact {
  return {
    sequence: checkInt(wire.sequence, "sequence"),
    fact: parseJsonObject(wire.json, "json", limits.manifestChars),
  };
}
