import { elementCount, fromFloat32, tensorKindOf, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";
import { heldBlock } from "./held-block.js";
import { tensorOf } from "./method-parts.js";
import { padded } from "./owner-mean.js";
import { ratioMeanPass } from "./weighted-mean.js";
import type { RatioTerm, WeightedMean, WeightedMeanState } from "./weighted-mean.js";

export interface PaddedMeanState {
  readonly mean: WeightedMeanState;
  /** Rows and columns of each tensor that at least one counted update reaches. */
  readonly reach: Map<string, readonly number[]>;
}

/**
 * sum_k w_k pad(t_k) / sum_k w_k over the clients that hold the group: t_k are the values after training, smaller tensors
 * padded with zeros. What no counted update's shape reaches keeps its global value. Exact in any order and sharding.
 *
 * @param global what the updates are deltas against
 * @param weightOf >= 0; an update of weight 0 is left out
 */
export function paddedMeanPass(
  name: string,
  groups: readonly TensorGroup[],
  global: StateDict,
  weightOf: (update: UpdateView) => number,
): AggregationPass<PaddedMeanState, WeightedMean> {
  const termOf = (update: UpdateView, { tensors }: TensorGroup): RatioTerm | undefined => {
    const weight = Math.fround(weightOf(update));
    const holds = tensors.some(({ name: tensor }) => isHead(tensor) || update.shape(tensor) !== undefined);
    return weight === 0 || !holds ? undefined : { weight, divisor: weight };
  };
  const valuesOf = (update: UpdateView, spec: TensorSpec): Float32Array => {
    const { shape, after } = heldBlock(update, spec, global);
    return padded(after, shape, spec.shape);
  };
  const mean = ratioMeanPass(name, groups, { base: undefined, termOf, valuesOf });
  return {
    name,
    groups,
    init: (group) => ({ mean: mean.init(group), reach: new Map() }),
    fold(state, update, group) {
      mean.fold(state.mean, update, group);
      if (termOf(update, group) === undefined) return;
      for (const spec of group.tensors) extend(state.reach, spec.name, update.shape(spec.name) ?? spec.shape);
    },
    merge(into, other) {
      mean.merge(into.mean, other.mean);
      for (const [tensor, shape] of other.reach) extend(into.reach, tensor, shape);
    },
    seal(state, group) {
      const sealed = mean.seal(state.mean, group);
      const tensors = [...sealed.tensors].map(([tensor, value]) => {
        return [tensor, within(value, state.reach.get(tensor) ?? [], tensorOf(global, tensor))] as const;
      });
      return { ...sealed, tensors: new Map(tensors) };
    },
    stateBytes: (group) => mean.stateBytes(group),
  };
}

const isHead = (name: string): boolean => tensorKindOf(name) === "head";

function extend(reach: Map<string, readonly number[]>, tensor: string, shape: readonly number[]): void {
  const known = reach.get(tensor) ?? [];
  reach.set(
    tensor,
    shape.map((size, axis) => Math.max(size, known[axis] ?? 0)),
  );
}

/** The leading block of one tensor in another. */
function within(block: Tensor, reach: readonly number[], outside: Tensor): Tensor {
  const { shape } = block;
  const [rows = 1, columns = 1] = reach;
  const [, stride = 1] = shape;
  if (rows * columns === elementCount(shape)) return block;
  const values = toFloat32(block);
  const out = toFloat32(outside).slice();
  for (let at = 0; at < rows * stride; at += stride) out.set(values.subarray(at, at + columns), at);
  return fromFloat32(out, shape);
}
