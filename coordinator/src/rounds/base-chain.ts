import { limits } from "@fedlora/proto";

import type { BaseDeltaRef, RunEventOf } from "./run-events.js";
import type { RunMachineState } from "./run-state.js";

/** How many changes are joined at a time: joining is spread over the rounds, and seldom rewrites what was joined before. */
const joinEvery = 8;

type Chain = Pick<RunMachineState, "baseDeltas" | "joinedBase">;

/**
 * What this round's aggregation joins besides its own work, oldest first: all changes of the base weights so far, those that were
 * joined before as one. Undefined: nothing; too few are new, or the run ends before a plan could not name them all.
 */
export function linksToJoin(
  state: Chain & Pick<RunMachineState, "baseVersion" | "rounds" | "spec">,
): readonly BaseDeltaRef[] | undefined {
  const { baseDeltas, joinedBase, baseVersion, rounds, spec } = state;
  const last = baseVersion + spec.rounds - rounds.length;
  const fresh = since(baseDeltas, joinedBase);
  if (last <= limits.baseDeltas || fresh.length < joinEvery) return undefined;
  return joinedBase === null ? fresh : [joinedBase, ...fresh];
}

/** The chain behind a commit; one that got too long for a plan begins with what was joined. */
export function extendBaseChain(
  state: Chain,
  { baseDelta, joinedBase = state.joinedBase ?? undefined }: Partial<RunEventOf<"round-committed">>,
): Chain {
  const chain = baseDelta === undefined ? state.baseDeltas : [...state.baseDeltas, baseDelta];
  if (joinedBase === undefined || chain.length <= limits.baseDeltas) {
    return { baseDeltas: chain, joinedBase: joinedBase ?? null };
  }
  return { baseDeltas: [joinedBase, ...since(chain, joinedBase)], joinedBase };
}

/** The chain to an earlier version; undefined where it ends inside of what was joined. */
export function baseChainTo(
  { baseDeltas, bestBaseDeltas }: Pick<RunMachineState, "baseDeltas" | "bestBaseDeltas">,
  version: number,
): readonly BaseDeltaRef[] | undefined {
  return [bestBaseDeltas, baseDeltas]
    .map((chain) => chain.filter(({ toVersion }) => toVersion <= version))
    .find((chain) => (chain.at(-1)?.toVersion ?? 0) === version);
}

function since(chain: readonly BaseDeltaRef[], joined: BaseDeltaRef | null): readonly BaseDeltaRef[] {
  return chain.filter(({ fromVersion }) => fromVersion >= (joined?.toVersion ?? 0));
}
