import type { RunResult } from "../run/round-row.js";
import type { ScenarioResult } from "../run/run-scenario.js";
import type { ClaimMetric } from "../scenario/claim-schema.js";
import { judgeClaims, type JudgedClaim } from "./claims.js";
import { classPlans, type ClassPlans } from "./class-plans.js";
import { runMetrics } from "./run-metrics.js";
import { spreadOf, type Spread } from "./spread.js";
import { summarizeTarget, type TargetSummary } from "./target.js";

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
  /** Of language models. */
  readonly testPerplexity: Spread | undefined;
  /** Of the last evaluated round, on the clients' own held-out examples. */
  readonly clientLoss: Spread | undefined;
  readonly clientAccuracy: Spread | undefined;
  /** The same client by client: the mean over clients, and over the worst tenth of them, at least one. */
  readonly meanClientLoss: Spread | undefined;
  readonly meanClientAccuracy: Spread | undefined;
  readonly worstClientLoss: Spread | undefined;
  readonly worstClientAccuracy: Spread | undefined;
  /** Of language models. */
  readonly clientPerplexity: Spread | undefined;
  readonly virtualSeconds: Spread | undefined;
  /** Over the whole run, all clients together. */
  readonly bytesUp: Spread | undefined;
  readonly bytesDown: Spread | undefined;
  /** Mean over the rounds of how long contributors waited for the last one. */
  readonly waitingSeconds: Spread | undefined;
  /** Mean over the rounds of the aggregation's relative error, where the method measures it. */
  readonly bias: Spread | undefined;
  /** What it took to reach the scenario's target; undefined: it has none. */
  readonly target: TargetSummary | undefined;
  /** What each device class trained. */
  readonly classes: readonly ClassPlans[];
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
  /** The scenario's claims about variants that were run. */
  readonly claims: readonly JudgedClaim[];
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
    variants: names.map((variant) => {
      const own = runs.filter((run) => run.variant === variant);
      return { ...summarizeVariant(own), target: summarizeTarget(result.scenario.target, own) };
    }),
    claims: judgeClaims(result.scenario.claims, runs),
    runs: runs.map(({ rounds, wallMs, ...run }) => ({
      ...run,
      rounds: rounds.length,
      wallSeconds: Math.round(wallMs) / 1000,
    })),
  };
}

function summarizeVariant(runs: readonly RunResult[]): Omit<VariantSummary, "target"> {
  const of = (metric: ClaimMetric): Spread | undefined =>
    spreadOf(runs.flatMap((run) => runMetrics[metric](run) ?? []));
  const total = (field: "refused" | "dropouts"): number =>
    runs.flatMap(({ rounds }) => rounds).reduce((sum, row) => sum + row[field], 0);
  return {
    variant: runs[0]?.variant ?? "",
    method: runs[0]?.method ?? "",
    runs: runs.length,
    completed: runs.filter(({ state }) => state === "completed").length,
    rounds: of("rounds"),
    testLoss: of("loss"),
    testAccuracy: of("accuracy"),
    testF1: of("f1"),
    testPerplexity: of("perplexity"),
    clientLoss: of("clientLoss"),
    clientAccuracy: of("clientAccuracy"),
    clientPerplexity: of("clientPerplexity"),
    meanClientLoss: of("meanClientLoss"),
    meanClientAccuracy: of("meanClientAccuracy"),
    worstClientLoss: of("worstClientLoss"),
    worstClientAccuracy: of("worstClientAccuracy"),
    virtualSeconds: of("virtualSeconds"),
    bytesUp: of("bytesUp"),
    bytesDown: of("bytesDown"),
    waitingSeconds: of("waitingSeconds"),
    bias: of("bias"),
    classes: classPlans(runs),
    epsilon: of("epsilon"),
    refused: total("refused"),
    dropouts: total("dropouts"),
  };
}
