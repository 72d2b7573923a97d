import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import type { EngineDescription, EngineName } from "../engine.js";

/** Flags of /proc/cpuinfo (x86 and ARM names) by which the runtimes choose their kernels. */
const kernelFlags = [
  "sse4_1",
  "avx",
  "f16c",
  "fma",
  "avx2",
  "avx_vnni",
  "avx512f",
  "avx512bw",
  "avx512dq",
  "avx512vl",
  "avx512_vnni",
  "avx512_bf16",
  "amx_tile",
  "asimd",
  "asimdhp",
  "asimddp",
  "i8mm",
  "bf16",
  "sve",
  "sve2",
];

/**
 * Equal fingerprints give equal bits: package version, provider, platform, instruction set and the settings that change
 * the arithmetic. Thread counts are not part of it.
 */
export function engineFingerprint(
  engine: EngineName,
  description: EngineDescription,
  instructionSet = readInstructionSet(),
): string {
  return [
    engine,
    description.version,
    `${process.platform}-${process.arch}`,
    instructionSet,
    description.settings,
  ].join(" | ");
}

/** The kernels' flags where the system lists them, otherwise the processor's name. */
export function readInstructionSet(cpuinfo = readCpuinfo()): string {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1];
  if (line === undefined) return cpus()[0]?.model.trim() ?? "unknown";
  const present = new Set(line.trim().split(/\s+/));
  return kernelFlags.filter((flag) => present.has(flag)).join(",");
}

function readCpuinfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}
