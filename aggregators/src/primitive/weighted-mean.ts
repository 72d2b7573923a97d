import { elementCount, FedLoraError, fromFloat32, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";
import { ExactSum } from "./exact-sum.js";

export interface WeightedMeanState {
  /** Updates folded with a weight above 0. */
  contributors: number;
  /** One element: the sum of the weights. */
  readonly totalWeight: ExactSum;
  readonly sums: ReadonlyMap<string, ExactSum>;
}

export interface WeightedMean {
  readonly contributors: number;
  readonly totalWeight: number;
  /** F32, the shapes of the group; empty when no update had weight. */
  readonly tensors: StateDict;
}

const one = Float32Array.of(1);

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
  return {
    name,
    groups,
    init: ({ tensors }) => ({
      contributors: 0,
      totalWeight: new ExactSum(1),
      sums: new Map(tensors.map((spec) => [spec.name, new ExactSum(elementCount(spec.shape))])),
    }),
    fold(state, update) {
      if (update.weight === 0) return;
      for (const [tensor, sum] of state.sums) addTensor(sum, update, tensor);
      state.totalWeight.add(one, update.weight);
      state.contributors += 1;
    },
    merge(into, other) {
      for (const [tensor, sum] of other.sums) into.sums.get(tensor)?.merge(sum);
      into.totalWeight.merge(other.totalWeight);
      into.contributors += other.contributors;
    },
    seal({ contributors, totalWeight, sums }, group) {
      const mean = (spec: TensorSpec): [string, Tensor][] => {
        const values = sums.get(spec.name)?.takeMean(totalWeight, baseValues(base, spec));
        return values === undefined ? [] : [[spec.name, fromFloat32(values, spec.shape)]];
      };
      const tensors: StateDict = new Map(contributors === 0 ? [] : group.tensors.flatMap(mean));
      const sealed = { contributors, totalWeight: totalWeight.toNumber(0), tensors };
      totalWeight.clear();
      return sealed;
    },
    stateBytes: ({ tensors }) => tensors.reduce((bytes, { shape }) => bytes + 16 * elementCount(shape), 0),
  };
}

function addTensor(sum: ExactSum, update: UpdateView, tensor: string): void {
  try {
    sum.add(update.tensor(tensor), update.weight);
  } catch (thrown) {
    const error = FedLoraError.from(thrown);
    throw new FedLoraError(error.code, `update "${update.id}", tensor "${tensor}": ${error.message}`, {
      details: { ...error.details, updateId: update.id, tensor },
      cause: error,
    });
  }
}

function baseValues(base: StateDict | undefined, spec: TensorSpec): Float32Array | undefined {
  if (base === undefined) return undefined;
  const tensor = base.get(spec.name);
  if (tensor === undefined) throw new FedLoraError("tensor-invalid", `the global adapter has no "${spec.name}"`);
  return toFloat32(tensor);
}
