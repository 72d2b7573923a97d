import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseScenario, runScenario, type RoundRow } from "@fedlora/simulations";
import type { ScenarioRowInput, ScenarioRowOutput } from "./scenario-row.js";

/** Runs one scenario in a process of its own, so that memory is the scenario's; prints one JSON line. */
const input = JSON.parse(process.argv[2] ?? "") as ScenarioRowInput;
const scenario = parseScenario(JSON.stringify(input.scenario));
const outFolder = await mkdtemp(join(tmpdir(), "fedlora-bench-"));
let begin = { wallMs: 0, cpu: process.cpuUsage(), trainerMs: 0 };
let end = { wallMs: 0, cpuMs: 0, trainerMs: 0 };
let rounds = 0;
let trainings = 0;
let rssMb = 0;

function onRound(row: RoundRow, _of: number, trainerMs: number): void {
  const wallMs = performance.now();
  rssMb = Math.max(rssMb, process.memoryUsage.rss() / 1e6);
  if (row.round <= input.warmUp) {
    begin = { wallMs, cpu: process.cpuUsage(), trainerMs };
    return;
  }
  const { user, system } = process.cpuUsage(begin.cpu);
  end = { wallMs: wallMs - begin.wallMs, cpuMs: (user + system) / 1000, trainerMs: trainerMs - begin.trainerMs };
  rounds += 1;
  trainings += row.accepted;
}

try {
  await runScenario({
    scenario,
    folder: ".",
    variants: ["run"],
    seeds: [0],
    workers: input.workers,
    outFolder,
    cacheFolder: input.cacheFolder,
    progress: { say: () => undefined, preparing: () => undefined, round: onRound, end: () => undefined },
    signal: new AbortController().signal,
  });
} finally {
  await rm(outFolder, { recursive: true, force: true });
}
const output: ScenarioRowOutput = {
  rounds,
  trainings,
  wallSeconds: end.wallMs / 1000,
  cpuSeconds: end.cpuMs / 1000,
  trainerSeconds: end.trainerMs / 1000,
  rssMb,
};
process.stdout.write(`${JSON.stringify(output)}\n`);
