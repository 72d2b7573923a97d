import { availableParallelism, cpus, totalmem } from "node:os";

/** One benchmark: fixed inputs, ratios from one run. */
export interface Bench {
  /** As on the command line: `npm run bench -- NAME`. */
  readonly name: string;
  /** `quick`: smaller sizes, to see that it works; its numbers are not for comparison. */
  run(options: { readonly json: boolean; readonly quick: boolean }): Promise<BenchReport>;
}

export interface BenchReport {
  readonly bench: string;
  readonly machine: Machine;
  readonly results: readonly Readonly<Record<string, unknown>>[];
  readonly bars: readonly Bar[];
}

/** A bound that the project has set itself; `ok` says whether the value keeps it. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly bound: number;
  readonly ok: boolean;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly node: string;
  readonly platform: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

/** The value must be at least the bound. */
export const atLeast = (name: string, value: number, bound: number): Bar => ({
  name,
  value,
  bound,
  ok: value >= bound,
});
/** The value must be at most the bound. */
export const atMost = (name: string, value: number, bound: number): Bar => ({ name, value, bound, ok: value <= bound });
