import type { RunSpec, TensorLayout } from "@fedlora/core";
import { runChild } from "./child.js";
import type { StoredRound } from "./method-files.js";
import { describeScale, valuesOf } from "./scaled-run.js";
import type { Scale } from "./scaled-run.js";

/** What one child process measures; crosses as JSON on its command line. */
export interface MethodInput {
  readonly spec: RunSpec;
  readonly adapterLayout: TensorLayout;
  readonly scalings: Readonly<Record<string, number>>;
  /** The clients' tensors, decoded, and their codec. */
  readonly upload: { readonly layout: TensorLayout; readonly codec: string };
  readonly files: StoredRound;
  readonly clients: number;
  /** Rounds to measure: at least so many, and for so many seconds. */
  readonly rounds: number;
  readonly seconds: number;
  /** Whether the method needs no more than sums. */
  readonly isSum: boolean;
  /** Decoded updates in memory; stored files in this thread; stored files through the coordinator's pool. */
  readonly source: "memory" | "disk" | "pool";
  /** That share the round. */
  readonly threads: number;
}

/** Times are medians over the rounds, the first third left out. */
export interface MethodOutput {
  readonly wallSeconds: number;
  /** Processor time, all threads. */
  readonly cpuSeconds: number;
  /** Of the process after its first round. */
  readonly peakRssMb: number;
  /** Longest time that the event loop did not turn, over all rounds. */
  readonly longestDelayMs: number;
  /** Of a round, the longest that the event loop's thread had work of its own. */
  readonly loopBusyMs: number;
}

export interface MethodRow {
  readonly method: string;
  readonly clients: number;
  readonly source: string;
  readonly threads: number;
  readonly scale: string;
  readonly mbPerUpdate: number;
  readonly seconds: number;
  readonly mbPerSecond: number;
  readonly mbPerCpuSecond: number;
  readonly peakRssMb: number;
  /** Pool only. */
  readonly longestDelayMs?: number;
  readonly loopBusyMs?: number;
  readonly note?: string;
}

/** Measures one row. Megabytes are those of the decoded updates, float32. */
export async function measureRow(scale: Scale, input: MethodInput): Promise<MethodRow> {
  const { wallSeconds, cpuSeconds, peakRssMb, longestDelayMs, loopBusyMs } = (await runChild(
    "method-child",
    input,
  )) as MethodOutput;
  const mbPerUpdate = (4 * valuesOf(input.upload.layout)) / 1e6;
  return {
    method: input.spec.method.name,
    clients: input.clients,
    source: input.source,
    threads: input.threads,
    scale: `rank ${scale.rank}, ${describeScale(scale)}`,
    mbPerUpdate: rounded(mbPerUpdate, 3),
    seconds: rounded(wallSeconds, 3),
    mbPerSecond: rounded((mbPerUpdate * input.clients) / wallSeconds, 1),
    mbPerCpuSecond: rounded((mbPerUpdate * input.clients) / cpuSeconds, 1),
    peakRssMb: rounded(peakRssMb, 1),
    ...(input.source === "pool"
      ? { longestDelayMs: rounded(longestDelayMs, 1), loopBusyMs: rounded(loopBusyMs, 1) }
      : {}),
  };
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));
