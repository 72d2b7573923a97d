import { availableParallelism, cpus, totalmem } from "node:os";
import { FedLoraError } from "@fedlora/core";
import type { EngineName } from "../engine.js";
import { readInstructionSet } from "../runtime/fingerprint.js";
import { engineTable } from "./engine-table.js";
import type { EngineRow } from "./engine-table.js";
import { exclusionReason } from "./exclusion.js";
import { installedVersion } from "./installed-version.js";
import { probeEngine } from "./probe-engine.js";
import type { ProbeRequest, ProbeResult } from "./probe-engine.js";

/** One engine on this machine. */
export interface EngineDiagnosis {
  readonly engine: EngineName;
  readonly device: string;
  /** Package, with its version where it is installed. */
  readonly packageName: string;
  readonly installedVersion: string | undefined;
  readonly isAvailable: boolean;
  /** Why it is not available, or why `auto` leaves it out; empty otherwise. */
  readonly reason: string;
  /** Whether `auto` may take it. */
  readonly isCandidate: boolean;
  readonly fingerprint: string | undefined;
  /** Rate of the product 1024 x 384 x 1536 in F32, GFLOP/s. */
  readonly gflops: number | undefined;
}

export interface DoctorReport {
  readonly machine: {
    readonly platform: string;
    readonly processor: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly instructionSet: string;
    readonly node: string;
  };
  readonly engines: readonly EngineDiagnosis[];
  /** What `auto` would take by these rates; before training it times a real step. Undefined where nothing runs. */
  readonly choice: { readonly engine: EngineName; readonly why: string } | undefined;
}

export interface DiagnoseOptions {
  /** Default: the cores of the machine. */
  readonly threads?: number;
  /** Replaced in tests. */
  readonly probe?: (request: ProbeRequest) => Promise<ProbeResult>;
  readonly versionOf?: (packageName: string) => string | undefined;
  readonly exclude?: (engine: EngineName) => string | undefined;
}

/** MiniLM's feed-forward layer on 1,024 tokens. */
export const probeProduct = { m: 1024, k: 384, n: 1536 };

/** Lists every engine, what each is worth here, and what `auto` would take; about a second for each that is installed. */
export async function diagnose(options: DiagnoseOptions = {}): Promise<DoctorReport> {
  const engines: EngineDiagnosis[] = [];
  // One at a time: together they would share the cores.
  for (const row of engineTable) engines.push(await diagnoseEngine(row, options));
  return {
    machine: {
      platform: `${process.platform}-${process.arch}`,
      processor: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      instructionSet: readInstructionSet(),
      node: process.version,
    },
    engines,
    choice: fastest(engines),
  };
}

async function diagnoseEngine(row: EngineRow, options: DiagnoseOptions): Promise<EngineDiagnosis> {
  const { engine } = row;
  const installed = (options.versionOf ?? installedVersion)(row.packageName);
  const unavailable = (reason: string): EngineDiagnosis => ({
    ...row,
    installedVersion: installed,
    isAvailable: false,
    isCandidate: false,
    reason,
    fingerprint: undefined,
    gflops: undefined,
  });
  if (installed === undefined) return unavailable(`${row.packageName} is not installed`);
  try {
    const threads = options.threads ?? availableParallelism();
    const { fingerprint, gflops } = await (options.probe ?? probeEngine)({ engine, threads, ...probeProduct });
    const excluded = (options.exclude ?? exclusionReason)(engine);
    return {
      ...row,
      installedVersion: installed,
      isAvailable: true,
      isCandidate: excluded === undefined,
      reason: excluded ?? "",
      fingerprint,
      gflops,
    };
  } catch (thrown) {
    return unavailable(FedLoraError.from(thrown).message);
  }
}

function fastest(engines: readonly EngineDiagnosis[]): DoctorReport["choice"] {
  // Eager engines lose about half of a product's rate in the step to gradients and copies; compiled ones a quarter.
  const ranked = engines
    .filter(({ isCandidate }) => isCandidate)
    .map((row) => ({ ...row, expected: (row.gflops ?? 0) * (row.engine.startsWith("tfjs") ? 0.5 : 0.75) }))
    .sort((a, b) => b.expected - a.expected);
  const [first, second] = ranked;
  if (first === undefined) return undefined;
  const rate = (row: EngineDiagnosis): string => `${(row.gflops ?? 0).toFixed(0)} GFLOP/s`;
  const rest = second === undefined ? "the only engine here" : `next is ${second.engine} with ${rate(second)}`;
  return { engine: first.engine, why: `${rate(first)} in a plain product; ${rest}` };
}
