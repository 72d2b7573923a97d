import { once } from "node:events";
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { compileMethod, joinSealed, runPasses, sealSpans } from "@fedlora/aggregators";
import type { AggregationResult, SealedPasses } from "@fedlora/aggregators";
import { aggregateRound, AggregationPool } from "@fedlora/coordinator";
import type { AggregationJob } from "@fedlora/coordinator";
import { codecOf, openEncoded, readSafetensors } from "@fedlora/core";
import type { ClientId } from "@fedlora/core";
import { startThread } from "@fedlora/core/node";
import { median } from "./median.js";
import { memoryRound } from "./memory-round.js";
import type { MemoryRequest, SharedRound } from "./memory-round.js";
import type { MethodInput, MethodOutput } from "./method-row.js";

/** A child process of its own per row, so that peaks of memory are the row's; prints one JSON line. */
const input = JSON.parse(process.argv[2] ?? "") as MethodInput;
const job = settled(jobOf(input));
const { run, end } = prepareRound();

interface Round {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly longestDelayMs: number;
  readonly loopBusyMs: number;
}
const rounds: Round[] = [];
// The peak is that of one round in a fresh process: over several it would tell when the collector ran.
globalThis.gc?.();
let peakRssMb = 0;
const begin = performance.now();
while (rounds.length < input.rounds || performance.now() - begin < 1e3 * input.seconds) {
  rounds.push(await measureRound());
  if (rounds.length === 1) peakRssMb = readPeakRssMb();
}
await end();
// The first rounds pay for compiling the loops and starting threads.
const warm = rounds.slice(Math.floor(rounds.length / 3));
const output: MethodOutput = {
  wallSeconds: median(warm.map(({ wallSeconds }) => wallSeconds)),
  cpuSeconds: median(warm.map(({ cpuSeconds }) => cpuSeconds)),
  peakRssMb,
  longestDelayMs: Math.max(...rounds.map(({ longestDelayMs }) => longestDelayMs)),
  loopBusyMs: Math.max(...warm.map(({ loopBusyMs }) => loopBusyMs)),
};
process.stdout.write(`${JSON.stringify(output)}\n`);

async function measureRound(): Promise<Round> {
  const loop = monitorEventLoopDelay({ resolution: 10 });
  const before = performance.eventLoopUtilization();
  const cpu = process.cpuUsage();
  const start = performance.now();
  loop.enable();
  await run();
  loop.disable();
  const wallSeconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  const loopBusyMs = performance.eventLoopUtilization(before).active;
  return { wallSeconds, cpuSeconds: (user + system) / 1e6, longestDelayMs: loop.max / 1e6, loopBusyMs };
}

/** Of this program alone: the peak that `resourceUsage` tells on Linux begins with the parent's. */
function readPeakRssMb(): number {
  const fallback = process.resourceUsage().maxRSS;
  if (process.platform !== "linux") return fallback / 1024;
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(peak ?? fallback) / 1024;
}

function prepareRound(): { run: () => Promise<void>; end: () => Promise<unknown> } {
  const nothing = (): Promise<void> => Promise.resolve();
  switch (input.source) {
    case "memory":
      return prepareMemory();
    case "disk":
      return { run: async () => assertDone(await Promise.resolve(aggregateRound(job))), end: nothing };
    case "pool": {
      const pool = new AggregationPool({ threadsPerJob: input.threads });
      return { run: async () => assertDone(await pool.run(job)), end: () => pool.close() };
    }
  }
}

function assertDone(
  outcome: { readonly kind: "adapter" | "continue" } | { readonly kind: "refused"; readonly message: string },
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

/** The sums alone: decoded updates, without files and hashes; threads share them as they share a round from files. */
function prepareMemory(): { run: () => Promise<void>; end: () => Promise<unknown> } {
  const shared = sharedRound();
  const { open, sweep } = memoryRound(shared);
  if (input.threads === 1) {
    return {
      run: async () => assertDone(await Promise.resolve(runPasses(open(), sweep))),
      end: () => Promise.resolve(),
    };
  }
  const helpers = Array.from({ length: input.threads - 1 }, () =>
    startThread(new URL("./memory-thread", import.meta.url)),
  );
  const ask = (message: MemoryRequest): void => helpers.forEach((helper) => helper.postMessage(message));
  ask({ round: shared });
  const run = async (): Promise<void> => {
    const tickets = new Int32Array(new SharedArrayBuffer(4));
    ask({ tickets });
    const answers = helpers.map(async (helper) => ((await once(helper, "message")) as [SealedPasses])[0]);
    const aggregation = open();
    const own = sealSpans(aggregation, sweep, () => Atomics.add(tickets, 0, 1));
    const result = aggregation.finish(joinSealed(aggregation, [own, ...(await Promise.all(answers))]));
    if (result.kind === "continue") throw new Error("only sums of one pass are measured in several threads");
    assertDone(result satisfies AggregationResult);
  };
  return { run, end: () => Promise.all(helpers.map((helper) => helper.terminate())) };
}

function sharedRound(): SharedRound {
  const { codec, layout } = input.upload;
  const decoder = codecOf(codec).decoder(layout);
  const updates = input.files.updates.map(({ path }) => {
    const read = openEncoded(decoder, readSafetensors(readFileSync(path)).tensors);
    return new Map(layout.map(({ name }) => [name, sharedCopy(read(name))]));
  });
  return { job, global: readFileSync(job.global.path), updates };
}

function sharedCopy(values: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
