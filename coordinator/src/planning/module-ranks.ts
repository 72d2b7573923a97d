import { adaptedLayers } from "@fedlora/core";
import type { ResolvedModule } from "@fedlora/core";

import type { ModuleRanks } from "./rank-planner.js";

/** The largest power of two that is not above a client's limit: ranks that few graphs serve. Undefined: no limit. */
export function powerOfTwo(maxRank: number | undefined): number | undefined {
  return maxRank === undefined ? undefined : 2 ** Math.floor(Math.log2(Math.max(1, maxRank)));
}

/** Number of layers that hold adapted modules. */
export function numLayers(modules: readonly ResolvedModule[]): number {
  return adaptedLayers(modules).length;
}

/**
 * The ranks of the top `depth` layers, none above `limit`; undefined where that is the whole adapter.
 *
 * @param depth from 1; more than there are layers is all of them
 */
export function topRanks(
  modules: readonly ResolvedModule[],
  depth: number,
  limit: number | undefined,
): ModuleRanks | undefined {
  const layers = adaptedLayers(modules);
  const isWhole = depth >= layers.length && modules.every(({ rank }) => limit === undefined || rank <= limit);
  if (isWhole) return undefined;
  const trained = layers.slice(-depth).flat();
  return Object.fromEntries(trained.map(({ name, rank }) => [name, Math.min(rank, limit ?? rank)]));
}
