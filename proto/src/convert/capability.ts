import type { Capability, Capability__Output } from "../gen/fedlora/v1/Capability.js";
import { limits } from "../limits.js";
import { checkFinite, checkInt, checkList, checkNumberMap, checkText } from "./checks.js";

/** What a client can do; undefined where it has not measured (0 on the wire). */
export interface CapabilityReport {
  readonly memoryBytes: number | undefined;
  readonly stepMs: number | undefined;
  readonly uploadBytesPerSecond: number | undefined;
  readonly engine: string;
  readonly engineFingerprint: string;
  readonly directives: readonly string[];
  readonly codecs: readonly string[];
  readonly maxRank: number | undefined;
  readonly measurements: Readonly<Record<string, number>>;
}

/** Nothing measured, nothing asked for. */
export const noCapability: CapabilityReport = {
  memoryBytes: undefined,
  stepMs: undefined,
  uploadBytesPerSecond: undefined,
  engine: "",
  engineFingerprint: "",
  directives: [],
  codecs: [],
  maxRank: undefined,
  measurements: {},
};

export function capabilityFromWire(wire: Capability__Output): CapabilityReport {
  const word = (value: string, field: string): string => checkText(value, field, limits.keyChars, 1);
  return {
    memoryBytes: known(checkInt(wire.memoryBytes, "capability.memory_bytes")),
    stepMs: known(checkFinite(wire.stepMs, "capability.step_ms", 0)),
    uploadBytesPerSecond: known(checkFinite(wire.uploadBytesPerSecond, "capability.upload_bytes_per_second", 0)),
    engine: checkText(wire.engine, "capability.engine", limits.nameChars),
    engineFingerprint: checkText(wire.engineFingerprint, "capability.engine_fingerprint", limits.nameChars),
    directives: checkList(wire.directives, "capability.directives", limits.wordEntries, word),
    codecs: checkList(wire.codecs, "capability.codecs", limits.wordEntries, word),
    maxRank: known(checkInt(wire.maxRank, "capability.max_rank", 0, 65_536)),
    measurements: checkNumberMap(wire.measurements, "capability.measurements"),
  };
}

export function optionalCapabilityFromWire(wire: Capability__Output | null | undefined): CapabilityReport | undefined {
  return wire === null || wire === undefined ? undefined : capabilityFromWire(wire);
}

/** For enrolment, which needs a report: nothing sent is nothing measured. */
export const capabilityOrNone = (wire: Capability__Output | null | undefined): CapabilityReport =>
  optionalCapabilityFromWire(wire) ?? noCapability;

export function capabilityToWire(report: CapabilityReport): Capability {
  return {
    memoryBytes: report.memoryBytes ?? 0,
    stepMs: report.stepMs ?? 0,
    uploadBytesPerSecond: report.uploadBytesPerSecond ?? 0,
    engine: report.engine,
    engineFingerprint: report.engineFingerprint,
    directives: [...report.directives],
    codecs: [...report.codecs],
    maxRank: report.maxRank ?? 0,
    measurements: { ...report.measurements },
  };
}

const known = (value: number): number | undefined => (value === 0 ? undefined : value);
