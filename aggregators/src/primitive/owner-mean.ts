import { elementCount, FedLoraError, fromFloat32, rankAxes, shapesEqual, tensorKindOf, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import { tensorOf } from "./method-parts.js";
import { namingUpdate } from "./naming-update.js";
import type { WeightedMean } from "./weighted-mean.js";

/** The weight of the updates whose tensor has one shape. */
interface Share {
  readonly shape: readonly number[];
  readonly weight: ExactTotal;
}

interface OwnerSum {
  readonly sum: ExactSum;
  /** One where all clients have the same rank. */
  readonly shares: Share[];
}

export interface OwnerMeanState {
  /** Updates folded with a weight above 0, those that do not hold the group included. */
  contributors: number;
  /** Theirs. */
  readonly totalWeight: ExactTotal;
  readonly tensors: ReadonlyMap<string, OwnerSum>;
}

/**
 * As `weightedMeanPass`, for clients of different ranks and depths: base + sum_k w_k t_k / sum_k w_k, element by element
 * over the updates that own the element. A client of a smaller rank owns the leading rows or columns of a tensor; one that
 * does not hold a module sends none of its tensors, or all. What nobody owns keeps the base's value, bit by bit. The result
 * is the float32 nearest to the real number, so no order and no sharding changes a bit. What is sealed has no tensor that
 * nobody held; it counts every update of the round.
 *
 * Folding costs what it does for equal ranks; the seal takes one more sum of the tensor for each further shape.
 *
 * @param base the global adapter, which the updates are deltas against
 */
export function ownerMeanPass(
  name: string,
  groups: readonly TensorGroup[],
  base: StateDict,
): AggregationPass<OwnerMeanState, WeightedMean> {
  return {
    name,
    groups,
    init: ({ tensors }) => ({
      contributors: 0,
      totalWeight: new ExactTotal(),
      tensors: new Map(
        tensors.map(({ name: tensor, shape }) => [tensor, { sum: new ExactSum(elementCount(shape)), shares: [] }]),
      ),
    }),
    fold(state, update, group) {
      if (update.weight === 0) return;
      for (const spec of holds(update, group) ? group.tensors : []) {
        const owners = state.tensors.get(spec.name);
        if (owners !== undefined) addBlock(owners, update, spec);
      }
      state.totalWeight.add(update.weight);
      state.contributors += 1;
    },
    merge(into, other) {
      for (const [tensor, { sum, shares }] of other.tensors) {
        const owners = into.tensors.get(tensor);
        if (owners === undefined) continue;
        owners.sum.merge(sum);
        for (const { shape, weight } of shares)
          (shareOf(owners, shape) ?? addShare(owners, shape)).weight.merge(weight);
      }
      into.totalWeight.merge(other.totalWeight);
      into.contributors += other.contributors;
    },
    seal({ contributors, totalWeight, tensors }, group) {
      const means = group.tensors.flatMap((spec): [string, Tensor][] => {
        const owners = tensors.get(spec.name);
        return owners === undefined || owners.shares.length === 0 ? [] : [[spec.name, meanOf(owners, spec, base)]];
      });
      return { contributors, totalWeight: totalWeight.toNumber(), tensors: new Map(means) };
    },
    stateBytes: ({ tensors }) => tensors.reduce((bytes, { shape }) => bytes + 32 * elementCount(shape), 0),
  };
}

/** Heads belong to everyone: their absence is an error, which reading them tells. */
function holds(update: UpdateView, { tensors }: TensorGroup): boolean {
  return tensors.some(({ name }) => update.shape(name) !== undefined || tensorKindOf(name) === "head");
}

function addBlock(owners: OwnerSum, update: UpdateView, spec: TensorSpec): void {
  namingUpdate(update, spec.name, () => {
    const values = update.tensor(spec.name);
    const shape = update.shape(spec.name) ?? spec.shape;
    const known = shareOf(owners, shape);
    if (known === undefined) assertBlock(shape, spec);
    owners.sum.add(padded(values, shape, spec.shape), update.weight);
    (known ?? addShare(owners, shape)).weight.add(update.weight);
  });
}

/** @throws FedLoraError `update-shape` for a shape that no rank of the tensor has */
export function assertBlock(shape: readonly number[], spec: TensorSpec): void {
  const axes = rankAxes[tensorKindOf(spec.name)];
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => {
      const own = shape[axis] ?? 0;
      return own === size || (axes.includes(axis) && own >= 1 && own < size);
    });
  if (fits) return;
  throw new FedLoraError(
    "update-shape",
    `shape [${shape.join(", ")}] is no leading block of [${spec.shape.join(", ")}]`,
  );
}

function shareOf({ shares }: OwnerSum, shape: readonly number[]): Share | undefined {
  return shares.find((share) => shapesEqual(share.shape, shape));
}

function addShare({ shares }: OwnerSum, shape: readonly number[]): Share {
  const share = { shape, weight: new ExactTotal() };
  shares.push(share);
  return share;
}

/** The values of a leading block in place, zeros elsewhere. */
export function padded(values: Float32Array, shape: readonly number[], whole: readonly number[]): Float32Array {
  const count = elementCount(whole);
  if (values.length === count) return values;
  const out = new Float32Array(count);
  const { rows, columns } = matrixOf(shape);
  const { columns: stride } = matrixOf(whole);
  for (let row = 0; row < rows; row++) {
    out.set(values.subarray(row * columns, (row + 1) * columns), row * stride);
  }
  return out;
}

/** A vector as one column: its rank axis is that of the rows. */
function matrixOf([rows = 1, columns = 1]: readonly number[]): { readonly rows: number; readonly columns: number } {
  return { rows, columns };
}

/**
 * The tensor falls into cells: which shapes reach an element depends on its row and its column alone. Each cell has a mean
 * over its own owners, which is taken of a copy of the whole sum and cut out.
 */
function meanOf({ sum, shares }: OwnerSum, spec: TensorSpec, base: StateDict): Tensor {
  const from = toFloat32(tensorOf(base, spec.name));
  const [first] = shares;
  let out: Float32Array;
  if (first !== undefined && shares.length === 1 && elementCount(first.shape) === sum.length) {
    out = sum.takeMean(first.weight, from);
  } else {
    out = from.slice();
    const { rows, columns } = matrixOf(spec.shape);
    const means = new Map<string, Float32Array>();
    for (const [top, bottom] of intervals([...shares.map(({ shape }) => matrixOf(shape).rows), rows])) {
      for (const [left, right] of intervals([...shares.map(({ shape }) => matrixOf(shape).columns), columns])) {
        const owners = shares.filter(({ shape }) => matrixOf(shape).rows > top && matrixOf(shape).columns > left);
        if (owners.length === 0) continue;
        const key = owners.map(({ shape }) => shape.join("x")).join(" ");
        const mean = means.get(key) ?? meanOver(owners, sum, from);
        means.set(key, mean);
        for (let at = top * columns; at < bottom * columns; at += columns) {
          out.set(mean.subarray(at + left, at + right), at + left);
        }
      }
    }
  }
  sum.clear();
  return fromFloat32(out, spec.shape);
}

/** [0, a], [a, b], ... for the distinct ends a < b < ... */
function intervals(ends: readonly number[]): (readonly [number, number])[] {
  const sorted = [...new Set(ends)].sort((a, b) => a - b);
  return sorted.map((end, i) => [sorted[i - 1] ?? 0, end]);
}

function meanOver(owners: readonly Share[], sum: ExactSum, from: Float32Array): Float32Array {
  const copy = new ExactSum(sum.length);
  copy.merge(sum);
  const total = new ExactTotal();
  for (const { weight } of owners) total.merge(weight);
  return copy.takeMean(total, from);
}
