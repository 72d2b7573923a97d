import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { atLeast, atMost, machine, type Bench } from "../bench.js";
import { digits, digitsOnUnequalDevices, mail, personalDigits } from "./scenarios.js";
import type { ScenarioRowInput, ScenarioRowOutput } from "./scenario-row.js";

/** Simulated federations: how many client trainings a second, what lies between them, and what a large population costs. */
export const simulateBench: Bench = {
  name: "simulate",
  async run({ quick }) {
    const cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-bench-cache-"));
    try {
      const workers = availableParallelism();
      const scale = quick ? 10 : 1;
      const measure = async (name: string, scenario: object, count: number, warmUp: number) => {
        return { name, workers: count, ...(await runRow({ scenario, workers: count, cacheFolder, warmUp })) };
      };
      const long = Math.ceil(100 / scale);
      const rounds = Math.ceil(60 / scale) + 20;
      const speed = await measure("digits, 100 clients", digitsOnUnequalDevices(100, rounds), workers, 20);
      const equal = await measure("digits, 100 clients on equal devices", digits(100, rounds), workers, 20);
      const small = await measure("digits, 100 clients, one worker", digits(100, long), 1, 1);
      const large = await measure("digits, 10000 clients, one worker", digits(10_000, long), 1, 1);
      const keeping = await measure("digits, 10000 clients that keep state", personalDigits(10_000, long), 1, 1);
      const mails = await measure("mail, MiniLM rank 8, one engine", mail(Math.ceil(10 / scale) + 1), 1, 1);
      const rows = [speed, equal, small, large, keeping, mails];
      return {
        bench: "simulate",
        machine: machine(),
        results: rows.map(shownRow),
        bars: [
          atLeast("client trainings per second, digits, slower row", Math.min(rateOf(speed), rateOf(equal)), 500),
          atMost("memory of 10000 clients over that of 100", large.rssMb / small.rssMb, 1.1),
          atMost("the same where every client keeps state", keeping.rssMb / small.rssMb, 1.3),
          atMost("share of time outside training, MiniLM", outsideOf(mails), 0.1),
        ],
      };
    } finally {
      await rm(cacheFolder, { recursive: true, force: true });
    }
  },
};

type Row = ScenarioRowOutput & { readonly name: string; readonly workers: number };

function shownRow(row: Row): Record<string, unknown> {
  return {
    scenario: row.name,
    workers: row.workers,
    rounds: row.rounds,
    trainings: row.trainings,
    trainingsPerSecond: rateOf(row),
    trainingsPerCpuSecond: row.trainings / row.cpuSeconds,
    roundsPerSecond: row.rounds / row.wallSeconds,
    outsideTraining: outsideOf(row),
    rssMb: Math.round(row.rssMb),
  };
}

const rateOf = ({ trainings, wallSeconds }: Row): number => trainings / wallSeconds;

/** Share of the workers' time in which they did not train. */
function outsideOf({ trainerSeconds, wallSeconds, workers }: Row): number {
  return 1 - trainerSeconds / (wallSeconds * workers);
}

async function runRow(input: ScenarioRowInput): Promise<ScenarioRowOutput> {
  const isSource = import.meta.url.endsWith(".ts");
  const program = fileURLToPath(new URL(`./scenario-child.${isSource ? "ts" : "js"}`, import.meta.url));
  const execArgv = isSource ? ["--import", "tsx", "--conditions=@fedlora/source"] : [];
  const args = [...execArgv, program, JSON.stringify(input)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as ScenarioRowOutput;
}
