import { compileMethod, runPasses } from "@fedlora/aggregators";
import type { UpdateView } from "@fedlora/aggregators";
import { aggregateRound } from "@fedlora/coordinator";
import type { AggregationJob } from "@fedlora/coordinator";
import { toFloat32 } from "@fedlora/core";
import type { ClientId, StateDict } from "@fedlora/core";
import { median } from "./median.js";
import { distinctUpdates, layout, randomTensors, specOf } from "./row.js";
import type { RowInput, RowOutput } from "./row.js";

/** A child process of its own per row, so that peaks of memory are the row's; prints one JSON line. */
const input = JSON.parse(process.argv[2] ?? "") as RowInput;
const round = input.source === "memory" ? prepareMemory() : prepareDisk();
// The peak is that of one round in a fresh process: over several it would tell when the collector ran.
globalThis.gc?.();
round();
const peakRssMb = process.resourceUsage().maxRSS / 1024;
const rounds = Array.from({ length: input.repeats }, () => {
  const cpu = process.cpuUsage();
  const start = performance.now();
  round();
  const wallSeconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  return { wallSeconds, cpuSeconds: (user + system) / 1e6 };
});
const warm = rounds.slice(Math.floor(rounds.length / 3));
const output: RowOutput = {
  wallSeconds: median(warm.map(({ wallSeconds }) => wallSeconds)),
  cpuSeconds: median(warm.map(({ cpuSeconds }) => cpuSeconds)),
  peakRssMb,
};
process.stdout.write(`${JSON.stringify(output)}\n`);

function jobOf(): AggregationJob {
  const spec = specOf(input.biasClients);
  const updates = Array.from({ length: input.updates }, (_, k) => ({
    ...(input.files[k % distinctUpdates] ?? input.global),
    id: `plan-${k}`,
    clientId: `client-${k}` as ClientId,
    weight: 100 + k,
    numExamples: 100 + k,
    numSteps: 1,
    staleness: 0,
    fullWeight: 100 + k,
    receivedLoss: undefined,
    layout,
    codec: "f32",
  }));
  const state = compileMethod({ spec, adapterLayout: layout, scalings: {} }).initialState();
  const { global } = input;
  const run = { spec, adapterLayout: layout, scalings: {} };
  return {
    ...run,
    round: 1,
    phase: "train",
    state,
    global,
    baseVersion: 0,
    updates,
    deltaPath: `${global.path}.delta`,
  };
}

function prepareDisk(): () => void {
  const job = jobOf();
  return () => void aggregateRound(job);
}

function prepareMemory(): () => void {
  const job = jobOf();
  const method = compileMethod(job);
  const global = randomTensors(0);
  const inMemory = Array.from({ length: distinctUpdates }, (_, k) => randomTensors(k + 1));
  const views = job.updates.map((update, k): UpdateView => {
    const tensors: StateDict = inMemory[k % distinctUpdates] ?? global;
    const arrays = new Map([...tensors].map(([name, tensor]) => [name, toFloat32(tensor)]));
    const shape = (name: string): readonly number[] | undefined => tensors.get(name)?.shape;
    return { ...update, shape, tensor: (name) => arrays.get(name) ?? new Float32Array(0) };
  });
  return () => {
    const { round: number, phase, state, baseVersion } = job;
    const sink = { open: () => undefined, write: () => undefined };
    const aggregation = method.aggregate({ round: number, phase, state, global, baseVersion, sink });
    runPasses(aggregation, (visit) => views.forEach(visit));
  };
}
