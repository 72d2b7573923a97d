import type { RunContext } from "./run-context.js";

/**
 * The rank of each adapted module for a client, by the run's rank plan; undefined: every module at full rank. By
 * capability, a client gets the largest power of two that neither its own limit nor the module's rank is below.
 */
export function planRanks(
  { spec, adapter }: Pick<RunContext, "spec" | "adapter">,
  maxRank: number | undefined,
): Readonly<Record<string, number>> | undefined {
  if (spec.rankPlan.kind === "uniform" || maxRank === undefined) return undefined;
  const limit = 2 ** Math.floor(Math.log2(Math.max(1, maxRank)));
  return Object.fromEntries(adapter.modules.map(({ name, rank }) => [name, Math.min(rank, limit)]));
}
