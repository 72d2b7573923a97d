import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { compileMethod, runPasses } from "@fedlora/aggregators";
import type { AggregationResult, UpdateView } from "@fedlora/aggregators";
import { aggregateRound, AggregationPool } from "@fedlora/coordinator";
import type { AggregationJob } from "@fedlora/coordinator";
import { codecOf, openEncoded, readSafetensors } from "@fedlora/core";
import type { ClientId } from "@fedlora/core";
import type { MethodInput, MethodOutput } from "./method-row.js";

/** A child process of its own per row, so that peaks of memory are the row's; prints one JSON line. */
const input = JSON.parse(process.argv[2] ?? "") as MethodInput;
const job = settled(jobOf(input));
const pool = new AggregationPool({ threadsPerJob: input.threads });
const run: () => Promise<void> = prepareRound();

// The peak is that of one round in a fresh process: over several it would tell when the collector ran.
globalThis.gc?.();
const loop = monitorEventLoopDelay({ resolution: 10 });
const best = { wallSeconds: Infinity, cpuSeconds: Infinity };
let peakRssMb = 0;
for (let i = 0; i < input.repeats; i++) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  if (input.source === "pool") loop.enable();
  await run();
  loop.disable();
  best.wallSeconds = Math.min(best.wallSeconds, (performance.now() - start) / 1e3);
  const { user, system } = process.cpuUsage(cpu);
  best.cpuSeconds = Math.min(best.cpuSeconds, (user + system) / 1e6);
  if (i === 0) peakRssMb = readPeakRssMb();
}
await pool.close();
const longestDelayMs = input.source === "pool" ? loop.max / 1e6 : undefined;
const output: MethodOutput = { ...best, peakRssMb, longestDelayMs };
process.stdout.write(`${JSON.stringify(output)}\n`);

/** Of this program alone: the peak that `resourceUsage` tells on Linux begins with the parent's. */
function readPeakRssMb(): number {
  const fallback = process.resourceUsage().maxRSS;
  if (process.platform !== "linux") return fallback / 1024;
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(peak ?? fallback) / 1024;
}

function prepareRound(): () => Promise<void> {
  if (input.source === "memory") {
    const sum = prepareMemory();
    return async () => assertDone(await Promise.resolve(sum()));
  }
  if (input.source === "disk") return async () => assertDone(await Promise.resolve(aggregateRound(job)));
  return async () => assertDone(await pool.run(job));
}

function assertDone(
  outcome: { readonly kind: "adapter" } | { readonly kind: "refused"; readonly message: string },
): void {
  if (outcome.kind === "refused") throw new Error(outcome.message);
}

function jobOf({ spec, adapterLayout, scalings, upload, files, clients }: MethodInput): AggregationJob {
  const weightOf = (k: number): number => (spec.weighting.kind === "uniform" ? 1 : 100 + k);
  const updates = Array.from({ length: clients }, (_, k) => ({
    ...(files.updates[k % files.updates.length] ?? files.global),
    ...{ id: `plan-${k}`, clientId: `client-${k}` as ClientId, numExamples: 100 + k, numSteps: 1, staleness: 0 },
    ...{ weight: weightOf(k), fullWeight: weightOf(k), receivedLoss: 1 + k / 100, ...upload },
  }));
  const method = compileMethod({ spec, adapterLayout, scalings });
  const state = method.initialState();
  const { global } = files;
  return {
    ...{ spec, adapterLayout, scalings, round: 1, phase: method.phase(state, 1), state, global, baseVersion: 0 },
    ...{ updates, deltaPath: `${global.path}.delta` },
  };
}

/** With the state of a run under way: a method of sums may look at what never changes in its first round alone. */
function settled(first: AggregationJob): AggregationJob {
  if (!input.isSum) return first;
  const outcome = aggregateRound({ ...first, updates: first.updates.slice(0, 1) });
  return outcome.kind === "adapter" ? { ...first, state: outcome.state } : first;
}

/** The sums alone: decoded updates, without files and hashes. */
function prepareMemory(): () => AggregationResult {
  const decoder = codecOf(input.upload.codec).decoder(input.upload.layout);
  const decoded = input.files.updates.map(({ path }) => {
    const read = openEncoded(decoder, readSafetensors(readFileSync(path)).tensors);
    return new Map(input.upload.layout.map(({ name }) => [name, read(name).slice()]));
  });
  const shapes = new Map(input.upload.layout.map(({ name, shape }) => [name, shape]));
  const shape = (name: string): readonly number[] | undefined => shapes.get(name);
  const views = job.updates.map((update, k): UpdateView => {
    const values = decoded[k % decoded.length];
    return { ...update, shape, tensor: (name) => values?.get(name) ?? new Float32Array(0) };
  });
  const method = compileMethod(job);
  const global = readSafetensors(readFileSync(job.global.path)).tensors;
  const sink = { open: () => undefined, write: () => undefined };
  return () => {
    const { round, phase, state, baseVersion } = job;
    const aggregation = method.aggregate({ round, phase, state, global, baseVersion, sink });
    return runPasses(aggregation, (visit) => views.forEach(visit));
  };
}
