import { isRunId, type RunId } from "@fedlora/core";
import type { Capability, Capability__Output } from "../gen/fedlora/v1/Capability.js";
import type { StepTimes as WireStepTimes, StepTimes__Output } from "../gen/fedlora/v1/StepTimes.js";
import { limits } from "../limits.js";
import { checkFinite, checkInt, checkList, checkNumberMap, checkOptionalId, checkText, invalid } from "./checks.js";

/** What a training step costs by the number of layers that it trains: forwardMs + depth x layerMs, and the same in bytes. */
export interface StepTimes {
  /** Forward pass of one batch, milliseconds; above 0. */
  readonly forwardMs: number;
  /** Backward pass of one adapted layer, per batch, milliseconds; from 0. */
  readonly layerMs: number;
  /** Rows x length of that batch, padding included. */
  readonly batchTokens: number;
  /** Memory of a step that trains no layer, weights included, and what each trained layer adds; undefined: not known. */
  readonly forwardBytes: number | undefined;
  readonly layerBytes: number | undefined;
  /** The run that it was measured in; undefined: a probe. */
  readonly runId: RunId | undefined;
}

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
  /** Absent: not measured. */
  readonly stepTimes?: StepTimes | undefined;
  /** As the owner declares it; absent: none. */
  readonly deviceClass?: string | undefined;
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
    uploadBytesPerSecond: checkBandwidth(wire.uploadBytesPerSecond),
    engine: checkText(wire.engine, "capability.engine", limits.nameChars),
    engineFingerprint: checkText(wire.engineFingerprint, "capability.engine_fingerprint", limits.nameChars),
    directives: checkList(wire.directives, "capability.directives", limits.wordEntries, word),
    codecs: checkList(wire.codecs, "capability.codecs", limits.wordEntries, word),
    maxRank: known(checkInt(wire.maxRank, "capability.max_rank", 0, 65_536)),
    measurements: checkNumberMap(wire.measurements, "capability.measurements"),
    ...(wire.stepTimes && { stepTimes: stepTimesFromWire(wire.stepTimes) }),
    ...(wire.deviceClass !== "" && { deviceClass: checkDeviceClass(wire.deviceClass) }),
  };
}

/** Lower-case letters, digits and hyphens, at most 32 characters, as in a run spec's tiers. */
export const isDeviceClass = (value: string): boolean => /^[a-z0-9][a-z0-9-]{0,31}$/.test(value);

function checkDeviceClass(value: string): string {
  if (isDeviceClass(value)) return value;
  const got = `is ${JSON.stringify(value.slice(0, 80))}`;
  throw invalid("capability.device_class", got, "lower-case letters, digits and hyphens, at most 32");
}

const dayMs = 86_400_000;
/** Shorter is no pass of anything, and its reciprocal no number to plan with. */
const shortestMs = 1e-6;

function stepTimesFromWire(wire: StepTimes__Output): StepTimes {
  const field = (name: string): string => `capability.step_times.${name}`;
  return {
    forwardMs: checkFinite(wire.forwardMs, field("forward_ms"), shortestMs, dayMs),
    layerMs: checkFinite(wire.layerMs, field("layer_ms"), 0, dayMs),
    batchTokens: checkInt(wire.batchTokens, field("batch_tokens"), 1, 2 ** 32),
    forwardBytes: known(checkInt(wire.forwardBytes, field("forward_bytes"))),
    layerBytes: known(checkInt(wire.layerBytes, field("layer_bytes"))),
    runId: checkOptionalId(wire.runId, isRunId, field("run_id")),
  };
}

function stepTimesToWire(times: StepTimes): WireStepTimes {
  return {
    ...times,
    forwardBytes: times.forwardBytes ?? 0,
    layerBytes: times.layerBytes ?? 0,
    runId: times.runId ?? "",
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
    stepTimes: report.stepTimes === undefined ? null : stepTimesToWire(report.stepTimes),
    deviceClass: report.deviceClass ?? "",
  };
}

/** 0 is unknown; below a byte in a thousand seconds its reciprocal is no time to plan with. */
function checkBandwidth(value: number): number | undefined {
  return value === 0 ? undefined : checkFinite(value, "capability.upload_bytes_per_second", 1e-3, 1e15);
}

const known = (value: number): number | undefined => (value === 0 ? undefined : value);
