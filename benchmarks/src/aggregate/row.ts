import type { AggregationJob } from "@fedlora/coordinator";
import { canonicalLayout, fromFloat32, randomKey, RandomStream, runSpecSchema, toStateDict } from "@fedlora/core";
import type { RunSpec, StateDict } from "@fedlora/core";

/** What one child process measures; crosses as JSON on its command line. */
export interface RowInput {
  readonly source: "memory" | "disk";
  readonly updates: number;
  readonly repeats: number;
  readonly biasClients: number;
  /** Stored files (disk): one global adapter and `distinctUpdates` updates, used in turn. */
  readonly global: AggregationJob["global"];
  readonly files: readonly AggregationJob["global"][];
}

/** Times are medians over the repeats, the first third left out: it pays for compiling the loops. */
export interface RowOutput {
  readonly wallSeconds: number;
  /** Processor time, all threads. */
  readonly cpuSeconds: number;
  /** Of the process after its first round. */
  readonly peakRssMb: number;
}

/** Updates that differ; more are the same ones under other ids, so that the input fits memory and the page cache. */
export const distinctUpdates = 8;

/** 32 modules of rank 16, 4096 to 4096: 4,194,304 parameters. */
export const layout = canonicalLayout(
  Array.from({ length: 32 }, (_, layer) => `base_model.model.layers.${layer}.q_proj`).flatMap((name) => [
    { name: `${name}.lora_A.weight`, dtype: "F32", shape: [16, 4096] },
    { name: `${name}.lora_B.weight`, dtype: "F32", shape: [4096, 16] },
  ]),
);
export const updateBytes = 4 * 4_194_304;

export function specOf(biasClients: number): RunSpec {
  return runSpecSchema.parse({
    name: "bench-aggregate",
    model: { hash: "0".repeat(64) },
    task: { kind: "causal-lm" },
    adapter: { rank: 16, targetModules: ["q_proj"] },
    method: { name: "fedavg", options: { biasClients } },
    rounds: 1,
    cohort: { size: 1 },
  });
}

/** Normal deltas of standard deviation 1e-3, as training gives. */
export function randomTensors(seed: number): StateDict {
  const stream = new RandomStream(randomKey(seed));
  return toStateDict(
    layout.map(({ name, shape }) => {
      const values = new Float32Array(16 * 4096);
      for (let i = 0; i < values.length; i++) values[i] = 1e-3 * stream.normal();
      return [name, fromFloat32(values, shape)];
    }),
  );
}
