import { FedLoraError, shapesEqual } from "@fedlora/core";
import type { TensorSpec } from "@fedlora/core";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";
import { allFinite } from "./product-terms.js";

/** One update's changes of a group's tensors. */
export interface Sample {
  readonly id: string;
  readonly weight: number;
  /** By tensor name, float32, row-major. */
  readonly deltas: ReadonlyMap<string, Float32Array>;
}

export interface SamplesOptions<Group extends TensorGroup, Sealed> {
  /** The group's tensors that updates hold, in their shapes. */
  readonly tensorsOf: (group: Group) => readonly TensorSpec[];
  /** @param samples by ascending id, all with a weight above 0 */
  readonly seal: (samples: readonly Sample[], group: Group) => Sealed;
  /** Updates expected, for the memory plan. */
  readonly expected: number;
}

/**
 * Collects what single updates say, group by group, for rules that compare them. `seal` sees them in the order of their
 * ids, whatever the order of arrival or the sharding, so what it computes in float64 has the same bits everywhere. Memory
 * is that of one module of every update.
 */
export function samplesPass<Group extends TensorGroup, Sealed>(
  name: string,
  groups: readonly Group[],
  { tensorsOf, seal, expected }: SamplesOptions<Group, Sealed>,
): AggregationPass<{ samples: Sample[] }, Sealed> {
  const known = new Map(groups.map((group) => [group.name, group]));
  const groupOf = ({ name: module }: TensorGroup): Group => {
    const group = known.get(module);
    if (group === undefined) throw new FedLoraError("internal", `pass "${name}" has no group "${module}"`);
    return group;
  };
  return {
    name,
    groups,
    init: () => ({ samples: [] }),
    fold(state, update, group) {
      const { id, weight } = update;
      if (weight === 0) return;
      const tensors = tensorsOf(groupOf(group));
      state.samples.push({ id, weight, deltas: new Map(tensors.map((spec) => [spec.name, readDelta(update, spec)])) });
    },
    merge(into, other) {
      into.samples.push(...other.samples);
    },
    seal: ({ samples }, group) =>
      seal(
        samples.toSorted((x, y) => (x.id < y.id ? -1 : 1)),
        groupOf(group),
      ),
    stateBytes: (group) =>
      tensorsOf(groupOf(group)).reduce(
        (bytes, { shape }) => bytes + 4 * expected * shape.reduce((a, b) => a * b, 1),
        0,
      ),
  };
}

/** A copy: the view's array is only valid until its next call. */
function readDelta(update: UpdateView, { name, shape }: TensorSpec): Float32Array {
  const fail = (code: "update-shape" | "update-not-finite", problem: string): never => {
    throw new FedLoraError(code, `update "${update.id}", tensor "${name}": ${problem}`, {
      details: { updateId: update.id, tensor: name },
    });
  };
  const held = update.shape(name);
  if (held === undefined) {
    throw new FedLoraError("update-tensor-missing", `update "${update.id}" has no tensor "${name}"`, {
      details: { updateId: update.id, tensor: name },
    });
  }
  if (!shapesEqual(held, shape))
    return fail("update-shape", `its shape is [${held.join(", ")}], expected [${shape.join(", ")}]`);
  const values = update.tensor(name).slice();
  return allFinite(values) ? values : fail("update-not-finite", "it holds a value that is not a finite number");
}

export function deltaOf({ id, deltas }: Sample, name: string): Float32Array {
  const values = deltas.get(name);
  if (values === undefined) throw new FedLoraError("internal", `sample "${id}" has no "${name}"`);
  return values;
}
