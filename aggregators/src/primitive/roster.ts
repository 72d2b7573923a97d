import type { StateDict } from "@fedlora/core";
import type { AggregationInput, AggregationPass, SealedPasses } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { collectMean, refused } from "./collect-mean.js";
import type { Refused } from "./collect-mean.js";
import { factorGroups, factorsOf, heldRank } from "./product-terms.js";
import { weightedMeanPass } from "./weighted-mean.js";

export interface RosterState {
  readonly weights: number[];
  /** Sum of the ranks at which the updates hold the module. */
  rankSum: number;
}

/** Who contributes to a module, and at which rank altogether. */
export interface Roster {
  readonly rankSum: number;
  /** Updates with a weight above 0, and the sum of their weights, whether they hold the module or not. */
  readonly contributors: number;
  readonly totalWeight: number;
}

/** The first passes of methods that do not average factors: the roster of every module, which reads only shapes, and the mean of the heads. */
export function rosterPasses(groups: readonly AdapterGroup[], { global }: AggregationInput): AggregationPass[] {
  const heads = groups.filter(({ factors }) => factors === undefined);
  return [rosterPass(groups), weightedMeanPass("heads", heads, global)] as AggregationPass[];
}

function rosterPass(groups: readonly AdapterGroup[]): AggregationPass<RosterState, Roster> {
  return {
    name: "roster",
    groups: factorGroups(groups),
    init: () => ({ weights: [], rankSum: 0 }),
    fold(state, update, group) {
      if (update.weight === 0) return;
      state.weights.push(update.weight);
      state.rankSum += heldRank(update, factorsOf(group)) ?? 0;
    },
    merge(into, other) {
      into.weights.push(...other.weights);
      into.rankSum += other.rankSum;
    },
    seal: ({ weights, rankSum }) => ({
      rankSum,
      contributors: weights.length,
      // In ascending order: weights that are not integers would else add up differently by the order of arrival.
      totalWeight: weights.toSorted((x, y) => x - y).reduce((sum, weight) => sum + weight, 0),
    }),
    stateBytes: () => 64,
  };
}

export interface CollectedRoster {
  readonly kind: "roster";
  /** The adapter with the new heads, every other tensor as it was. */
  readonly global: StateDict;
  readonly contributors: number;
  readonly totalWeight: number;
  /** Sum of the contributors' ranks, by the name of the module's group. */
  rankSum(group: string): number;
}

/** What `rosterPasses` found; refuses a round without contributors. */
export function collectRoster(sealed: SealedPasses, input: AggregationInput): CollectedRoster | Refused {
  const rosters = (sealed.get("roster") ?? new Map()) as ReadonlyMap<string, Roster>;
  const [any] = rosters.values();
  if (any === undefined || any.contributors === 0) {
    return refused(`round ${input.round}: no update with a weight above 0 to aggregate`);
  }
  const { contributors, totalWeight } = any;
  const rankSum = (group: string): number => rosters.get(group)?.rankSum ?? 0;
  const roster = { kind: "roster" as const, contributors, totalWeight, rankSum };
  if ((sealed.get("heads")?.size ?? 0) === 0) return { ...roster, global: input.global };
  const heads = collectMean(sealed, "heads", input);
  return heads.kind === "refused" ? heads : { ...roster, global: heads.global };
}
