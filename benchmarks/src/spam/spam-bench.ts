import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { runSpamDemo, type DemoReport } from "@fedlora/simulations";
import { atLeast, machine, type Bench } from "../bench.js";

const seeds = [0, 1, 2];

/** The `fedlora` command that starts the processes; the benchmarks do not import it. */
function launcher(): string {
  return join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "cli", "bin", "fedlora.js");
}

/**
 * The spam filter on three seeds (of the split, the initial adapter and the training): the federation against its members
 * alone and against pooled mail, with real processes over loopback gRPC.
 */
export const spamBench: Bench = {
  name: "spam",
  async run({ quick }) {
    const folder = await mkdtemp(join(tmpdir(), "fedlora-bench-"));
    const reports: DemoReport[] = [];
    try {
      for (const seed of quick ? seeds.slice(0, 1) : seeds) {
        const settings = quick ? { rounds: 2, localSteps: 5 } : {};
        const signal = new AbortController().signal;
        const { report } = await runSpamDemo({
          launcher: launcher(),
          seed,
          adapterFolder: join(folder, "adapter"),
          signal,
          ...settings,
        });
        reports.push(report);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    return {
      bench: "spam",
      machine: machine(),
      results: reports.map(row),
      bars: [
        atLeast(
          "F1 points above the mean of the members alone, worst seed",
          Math.min(...reports.map((report) => report.gainOverMean)),
          2,
        ),
        atLeast(
          "probability of beating the best member, worst seed",
          Math.min(...reports.map((report) => report.winProbability)),
          0.95,
        ),
      ],
    };
  },
};

function row(report: DemoReport): Record<string, unknown> {
  const round4 = (value: number): number => Math.round(value * 1e4) / 1e4;
  const named = Object.fromEntries(report.references.map(({ name, f1 }) => [name, round4(f1)]));
  return {
    seed: report.seed,
    federated: round4(report.federated.f1),
    ...named,
    gainOverMean: round4(report.gainOverMean),
    winProbability: round4(report.winProbability),
    seconds: Math.round(report.seconds),
  };
}
