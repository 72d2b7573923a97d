import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blobIdOf, writeSafetensors } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { atLeast, atMost, machine } from "../bench.js";
import type { Bench, BenchReport } from "../bench.js";
import { runChild } from "./child.js";
import { measureMethods } from "./method-rows.js";
import { distinctUpdates, randomTensors, updateBytes } from "./row.js";
import type { RowInput, RowOutput } from "./row.js";

/**
 * Folding updates of 4,194,304 float32 parameters by fedavg: from memory (exact sums alone), and from stored files with
 * reading and hashing. Rows without `biasClients` leave the bias out; the last row tells what it costs.
 * Then every builtin method on the shapes of Llama-3.2-3B: see `measureMethods`.
 *
 * `mbPerCpuSecond` divides by processor time: it is what one core does, also where others use the machine.
 */
export const aggregateBench: Bench = {
  name: "aggregate",
  async run({ quick }) {
    const folder = await mkdtemp(join(tmpdir(), "fedlora-bench-aggregate-"));
    try {
      return await measure(folder, quick);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measure(folder: string, quick: boolean): Promise<BenchReport> {
  const [global, ...files] = await storeTensors(folder);
  const counts = quick ? [8, 32] : [8, 64, 256];
  // A round of few updates is over before its loops are compiled.
  const repeatsOf = (updates: number): number => (quick ? 2 : Math.max(3, Math.ceil(96 / updates)));
  const row = async (source: RowInput["source"], updates: number, biasClients: number) => {
    const input: RowInput = { source, updates, repeats: repeatsOf(updates), biasClients, global, files };
    const { wallSeconds, cpuSeconds, peakRssMb } = (await runChild("row-child", input)) as RowOutput;
    const megabytes = (updates * updateBytes) / 1e6;
    return {
      source,
      updates,
      biasClients,
      seconds: round(wallSeconds, 3),
      mbPerSecond: round(megabytes / wallSeconds, 0),
      mbPerCpuSecond: round(megabytes / cpuSeconds, 0),
      peakRssMb: round(peakRssMb, 1),
    };
  };
  const memory = [];
  for (const updates of counts) memory.push(await row("memory", updates, 0));
  const disk = [];
  for (const updates of counts) disk.push(await row("disk", updates, 0));
  const withBias = await row("disk", counts[1] ?? 0, 32);

  const methods = await measureMethods(folder, quick);

  const slowest = Math.min(...memory.map((result) => result.mbPerCpuSecond)) / 1e3;
  const spreadOf = (rows: readonly { readonly peakRssMb: number }[]): number => {
    const peaks = rows.map(({ peakRssMb }) => peakRssMb);
    return round(Math.max(...peaks) / Math.min(...peaks), 3);
  };
  return {
    bench: "aggregate",
    machine: machine(),
    results: [...memory, ...disk, withBias, ...methods.rows.map((row) => ({ ...row }))],
    bars: [
      atLeast("GB/s per core from memory, slowest row", slowest, 1),
      atMost("peak memory from memory, largest over smallest row", spreadOf(memory), 1.1),
      atMost("peak memory from disk, largest over smallest row", spreadOf(disk), 1.1),
      ...methods.bars,
    ],
  };
}

type StoredFile = RowInput["global"];

async function storeTensors(folder: string): Promise<[StoredFile, ...StoredFile[]]> {
  const store = async (seed: number): Promise<StoredFile> => {
    const bytes = writeSafetensors(randomTensors(seed));
    const blobId = blobIdOf(bytes, nodeSha256);
    const path = join(folder, blobId);
    await writeFile(path, bytes);
    return { blobId, path };
  };
  const global = await store(0);
  const files: StoredFile[] = [];
  for (let k = 1; k <= distinctUpdates; k++) files.push(await store(k));
  return [global, ...files];
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
