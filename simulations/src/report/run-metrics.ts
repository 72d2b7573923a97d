import { FedLoraError } from "@fedlora/core";
import type { TestMetrics } from "../metrics/perplexity.js";
import type { PerClient } from "../run/per-client.js";
import { noMethod, type RoundRow, type RunResult } from "../run/round-row.js";
import type { ClaimMetric, ClaimUntil } from "../scenario/claim-schema.js";

/** What each metric is of a run; undefined where it was not measured. */
export const runMetrics: Readonly<Record<ClaimMetric, (run: RunResult) => number | undefined>> = {
  accuracy: (run) => lastTest(run)?.accuracy,
  loss: (run) => lastTest(run)?.loss,
  perplexity: (run) => lastTest(run)?.perplexity,
  f1: (run) => lastTest(run)?.f1,
  clientAccuracy: (run) => lastEvaluation(run)?.accuracy,
  clientLoss: (run) => lastEvaluation(run)?.loss,
  clientPerplexity: (run) => lastEvaluation(run)?.perplexity,
  meanClientAccuracy: (run) => lastPerClient(run)?.meanAccuracy,
  meanClientLoss: (run) => lastPerClient(run)?.meanLoss,
  worstClientAccuracy: (run) => lastPerClient(run)?.worstAccuracy,
  worstClientLoss: (run) => lastPerClient(run)?.worstLoss,
  rounds: ({ rounds, method }) => (method === noMethod ? undefined : rounds.length),
  virtualSeconds: ({ virtualMs }) => virtualMs / 1000,
  waitingSeconds: (run) => overRounds(run, ({ waitingMs }) => (waitingMs === undefined ? undefined : waitingMs / 1000)),
  bytesUp: ({ rounds }) => total(rounds, ({ bytesUp }) => bytesUp),
  bytesDown: ({ rounds }) => total(rounds, ({ bytesDown }) => bytesDown),
  bytes: ({ rounds }) => total(rounds, ({ bytesUp, bytesDown }) => bytesUp + bytesDown),
  bias: (run) => overRounds(run, ({ methodMetrics }) => methodMetrics["bias"]),
  epsilon: ({ privacy }) => privacy?.epsilon,
};

/**
 * A metric of a run; with `until` of the run up to the first round that reached it. Infinity: it never did; undefined: what
 * it is about was never measured.
 */
export function metricOf(run: RunResult, metric: ClaimMetric, until?: ClaimUntil): number | undefined {
  if (until === undefined) return runMetrics[metric](run);
  const { quality, target } = untilOf(until);
  const values = run.rounds.map(qualities[quality]);
  if (values.every((value) => value === undefined)) return undefined;
  const isLoss = quality === "loss" || quality === "clientLoss";
  const at = values.findIndex((value) => value !== undefined && (isLoss ? value <= target : value >= target));
  const last = run.rounds[at];
  if (last === undefined) return Number.POSITIVE_INFINITY;
  return runMetrics[metric]({ ...run, rounds: run.rounds.slice(0, at + 1), virtualMs: last.endMs });
}

/** The one quality that `until` names. */
export function untilOf(until: ClaimUntil): { readonly quality: keyof ClaimUntil; readonly target: number } {
  for (const quality of ["accuracy", "loss", "clientAccuracy", "clientLoss"] as const) {
    const target = until[quality];
    if (target !== undefined) return { quality, target };
  }
  throw new FedLoraError("internal", "until names no quality");
}

const qualities: Readonly<Record<keyof ClaimUntil, (row: RoundRow) => number | undefined>> = {
  accuracy: ({ test }) => test?.accuracy,
  loss: ({ test }) => test?.loss,
  clientAccuracy: ({ evaluation }) => numberOf(evaluation?.["accuracy"]),
  clientLoss: ({ evaluation }) => numberOf(evaluation?.["loss"]),
};

export function lastTest({ rounds }: RunResult): TestMetrics | undefined {
  return rounds.findLast(({ test }) => test !== undefined)?.test;
}

function lastEvaluation({
  rounds,
}: RunResult): Readonly<Record<"accuracy" | "loss" | "perplexity", number | undefined>> | undefined {
  const row = rounds.findLast(({ evaluation }) => evaluation !== undefined);
  const perplexity = numberOf(row?.evaluation?.["perplexity"]);
  return row && { accuracy: qualities.clientAccuracy(row), loss: qualities.clientLoss(row), perplexity };
}

function lastPerClient({ rounds }: RunResult): PerClient | undefined {
  return rounds.findLast(({ perClient }) => perClient !== undefined)?.perClient;
}

function overRounds({ rounds }: RunResult, value: (row: RoundRow) => number | undefined): number | undefined {
  const values = rounds.flatMap((row) => value(row) ?? []);
  return values.length === 0 ? undefined : values.reduce((sum, each) => sum + each, 0) / values.length;
}

function total(rows: readonly RoundRow[], value: (row: RoundRow) => number): number {
  return rows.reduce((sum, row) => sum + value(row), 0);
}

/** Of what a method measured: its metrics are numbers or missing. */
export const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
