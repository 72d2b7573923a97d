import { elementCount, fromFloat32, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import { tensorOf } from "./method-parts.js";
import { namingUpdate } from "./naming-update.js";

export interface WeightedMeanState {
  /** Updates folded with a weight above 0. */
  contributors: number;
  readonly totalWeight: ExactTotal;
  readonly sums: ReadonlyMap<string, ExactSum>;
}

export interface WeightedMean {
  readonly contributors: number;
  readonly totalWeight: number;
  /** F32, the shapes of the group; empty when no update had weight. */
  readonly tensors: StateDict;
}

/** What one update enters a ratio with; both >= 0 and taken as float32. */
export interface RatioTerm {
  /** Factor on its values. */
  readonly weight: number;
  /** What it adds to the divisor. */
  readonly divisor: number;
}

export interface RatioMeanOptions {
  /** What the ratio is added to; undefined: zero. */
  readonly base: StateDict | undefined;
  /** Undefined: the update is left out of the group. */
  readonly termOf: (update: UpdateView, group: TensorGroup) => RatioTerm | undefined;
  /** The values of a tensor, in its full shape; default: as the update holds them. */
  readonly valuesOf?: (update: UpdateView, spec: TensorSpec) => Float32Array;
}

/**
 * base + sum_k w_k t_k / sum_k w_k over the updates' tensors t_k, for the tensors of the groups and nothing else: the
 * shared primitive of the methods that average what they declare. The result is the float32 nearest to the real number,
 * so its bits depend neither on the order of the updates, nor on sharding, nor on a common factor of the weights.
 *
 * @param base what the means are added to (the global adapter, for updates that are deltas); undefined: zero
 */
export function weightedMeanPass(
  name: string,
  groups: readonly TensorGroup[],
  base: StateDict | undefined,
): AggregationPass<WeightedMeanState, WeightedMean> {
  const termOf = ({ weight }: UpdateView): RatioTerm | undefined =>
    weight === 0 ? undefined : { weight, divisor: weight };
  return ratioMeanPass(name, groups, { base, termOf });
}

/**
 * base + sum_k a_k t_k / sum_k b_k, for methods that compute the weights from the updates, such as norms (HetLoRA) and
 * losses (q-FFL). As exact as the weighted mean.
 */
export function ratioMeanPass(
  name: string,
  groups: readonly TensorGroup[],
  { base, termOf, valuesOf = (update, spec) => update.tensor(spec.name) }: RatioMeanOptions,
): AggregationPass<WeightedMeanState, WeightedMean> {
  return {
    name,
    groups,
    init: ({ tensors }) => ({
      contributors: 0,
      totalWeight: new ExactTotal(),
      sums: new Map(tensors.map((spec) => [spec.name, new ExactSum(elementCount(spec.shape))])),
    }),
    fold(state, update, group) {
      const term = termOf(update, group);
      if (term === undefined) return;
      for (const spec of group.tensors) {
        namingUpdate(update, spec.name, () => state.sums.get(spec.name)?.add(valuesOf(update, spec), term.weight));
      }
      state.totalWeight.add(term.divisor);
      state.contributors += 1;
    },
    merge(into, other) {
      for (const [tensor, sum] of other.sums) into.sums.get(tensor)?.merge(sum);
      into.totalWeight.merge(other.totalWeight);
      into.contributors += other.contributors;
    },
    seal({ contributors, totalWeight, sums }, group) {
      const mean = (spec: TensorSpec): [string, Tensor][] => {
        const from = base === undefined ? undefined : toFloat32(tensorOf(base, spec.name));
        const values = sums.get(spec.name)?.takeMean(totalWeight, from);
        return values === undefined ? [] : [[spec.name, fromFloat32(values, spec.shape)]];
      };
      const tensors: StateDict = new Map(contributors === 0 ? [] : group.tensors.flatMap(mean));
      return { contributors, totalWeight: totalWeight.toNumber(), tensors };
    },
    stateBytes: ({ tensors }) => tensors.reduce((bytes, { shape }) => bytes + 16 * elementCount(shape), 0),
  };
}
