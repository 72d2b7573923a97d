import { compileMethod } from "@fedlora/aggregators";
import type { Aggregation, Sweep, UpdateView } from "@fedlora/aggregators";
import type { AggregationJob } from "@fedlora/coordinator";
import { readSafetensors } from "@fedlora/core";

/** A round whose updates are decoded, in memory that threads share. */
export interface SharedRound {
  readonly job: AggregationJob;
  /** The global adapter as safetensors. */
  readonly global: Uint8Array;
  /** Distinct updates, used in turn: values by the tensor's name. */
  readonly updates: readonly ReadonlyMap<string, Float32Array>[];
}

/** To the thread that helps: the round, then one message for each time that it is aggregated. */
export type MemoryRequest = { readonly round: SharedRound } | { readonly tickets: Int32Array };

/** One thread's view of a `SharedRound`: the sums alone, without files and hashes. */
export function memoryRound({ job, global, updates }: SharedRound): {
  readonly open: () => Aggregation;
  readonly sweep: Sweep;
} {
  const shapes = new Map(job.updates[0]?.layout.map(({ name, shape }) => [name, shape]));
  const shape = (name: string): readonly number[] | undefined => shapes.get(name);
  const views = job.updates.map((update, k): UpdateView => {
    const values = updates[k % updates.length];
    return { ...update, shape, tensor: (name) => values?.get(name) ?? new Float32Array(0) };
  });
  const method = compileMethod(job);
  const { tensors } = readSafetensors(global);
  const sink = { open: () => undefined, write: () => undefined };
  const { round, phase, state, baseVersion } = job;
  return {
    open: () => method.aggregate({ round, phase, state, global: tensors, baseVersion, sink }),
    sweep: (visit) => views.forEach(visit),
  };
}
