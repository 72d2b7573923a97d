import type { EvaluationMetrics } from "@fedlora/core";
import type { RoundRow, RunResult } from "../run/round-row.js";
import type { ScenarioResult } from "../run/run-scenario.js";

/** Mean and standard deviation (of a sample) over the seeds; `std` is undefined for a single one. */
export interface Spread {
  readonly mean: number;
  readonly std: number | undefined;
  readonly count: number;
}

/** What a variant came to, over its seeds. */
export interface VariantSummary {
  readonly variant: string;
  readonly method: string;
  readonly runs: number;
  /** Of `runs`, those that ended by themselves. */
  readonly completed: number;
  readonly rounds: Spread | undefined;
  /** Of the last tested round, on the test examples. */
  readonly testLoss: Spread | undefined;
  readonly testAccuracy: Spread | undefined;
  readonly testF1: Spread | undefined;
  /** Of the last evaluated round, on the clients' own held-out examples. */
  readonly clientLoss: Spread | undefined;
  readonly clientAccuracy: Spread | undefined;
  readonly virtualSeconds: Spread | undefined;
  /** Over the whole run, all clients together. */
  readonly bytesUp: Spread | undefined;
  readonly bytesDown: Spread | undefined;
  /** Mean over the rounds of how long contributors waited for the last one. */
  readonly waitingSeconds: Spread | undefined;
  /** What private runs spent. */
  readonly epsilon: Spread | undefined;
  readonly refused: number;
  readonly dropouts: number;
}

/** summary.json. */
export interface ScenarioSummary extends Omit<ScenarioResult, "runs"> {
  readonly format: "fedlora-simulation/1";
  readonly versions: Readonly<Record<string, string>>;
  readonly variants: readonly VariantSummary[];
  readonly runs: readonly (Omit<RunResult, "rounds" | "wallMs"> & {
    readonly rounds: number;
    readonly wallSeconds: number;
  })[];
}

export function summarize(result: ScenarioResult, versions: Readonly<Record<string, string>>): ScenarioSummary {
  const { runs, ...rest } = result;
  const names = [...new Set(runs.map(({ variant }) => variant))];
  return {
    format: "fedlora-simulation/1",
    ...rest,
    versions,
    variants: names.map((variant) => summarizeVariant(runs.filter((run) => run.variant === variant))),
    runs: runs.map(({ rounds, wallMs, ...run }) => ({
      ...run,
      rounds: rounds.length,
      wallSeconds: Math.round(wallMs) / 1000,
    })),
  };
}

function summarizeVariant(runs: readonly RunResult[]): VariantSummary {
  const of = (value: (run: RunResult) => number | undefined): Spread | undefined =>
    spreadOf(runs.flatMap((run) => value(run) ?? []));
  const sum = (rows: readonly RoundRow[], value: (row: RoundRow) => number): number =>
    rows.reduce((all, row) => all + value(row), 0);
  const tested = (field: keyof EvaluationMetrics) => (run: RunResult) => lastTest(run)?.[field];
  const evaluated = (field: string) => (run: RunResult) => {
    const value = run.rounds.findLast(({ evaluation }) => evaluation !== undefined)?.evaluation?.[field];
    return typeof value === "number" ? value : undefined;
  };
  return {
    variant: runs[0]?.variant ?? "",
    method: runs[0]?.method ?? "",
    runs: runs.length,
    completed: runs.filter(({ state }) => state === "completed").length,
    rounds: of(({ rounds }) => rounds.length),
    testLoss: of(tested("loss")),
    testAccuracy: of(tested("accuracy")),
    testF1: of(tested("f1")),
    clientLoss: of(evaluated("loss")),
    clientAccuracy: of(evaluated("accuracy")),
    virtualSeconds: of((run) => run.virtualMs / 1000),
    bytesUp: of(({ rounds }) => sum(rounds, ({ bytesUp }) => bytesUp)),
    bytesDown: of(({ rounds }) => sum(rounds, ({ bytesDown }) => bytesDown)),
    waitingSeconds: of(({ rounds }) => {
      const waits = rounds.flatMap(({ waitingMs }) => waitingMs ?? []);
      return waits.length === 0 ? undefined : waits.reduce((all, ms) => all + ms, 0) / waits.length / 1000;
    }),
    epsilon: of(({ privacy }) => privacy?.epsilon),
    refused: runs.reduce((all, { rounds }) => all + sum(rounds, ({ refused }) => refused), 0),
    dropouts: runs.reduce((all, { rounds }) => all + sum(rounds, ({ dropouts }) => dropouts), 0),
  };
}

export function lastTest({ rounds }: RunResult): EvaluationMetrics | undefined {
  return rounds.findLast(({ test }) => test !== undefined)?.test;
}

export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    mean,
    std: values.length === 1 ? undefined : Math.sqrt(squares / (values.length - 1)),
    count: values.length,
  };
}
