import { baseDeltaKeys } from "@fedlora/core";
import type { TensorLayout } from "@fedlora/core";
import { columnMatrix, multiply } from "../linalg/column-matrix.js";
import type { TensorSink } from "../method.js";
import { adapterGroups } from "./adapter-groups.js";
import { deltaLayout, moduleOf, planDelta } from "./product-delta.js";
import type { DeltaPlan } from "./product-delta.js";
import { allFinite, factorGroups, factorSizes } from "./product-terms.js";

/** A base delta (float32) that is read piece by piece. */
export interface BaseDeltaReader {
  /** Undefined for a tensor that it does not hold. */
  shape(name: string): readonly number[] | undefined;
  /** `count` values of a tensor from flat index `from` on, valid until the next call. */
  read(name: string, from: number, count: number): Float32Array;
}

export interface JoinOptions {
  /** Of the run's adapter at full rank: names the modules and their sizes. */
  readonly adapterLayout: TensorLayout;
  readonly sink: TensorSink;
  /** Whether a module's change stays in factors even where the matrix is smaller; default false. */
  readonly isFactored?: boolean;
  /** Elements of one block of rows, about; default 2^20: 8 MB of sums. */
  readonly blockElements?: number;
}

/** Values copied at a time. */
const chunk = 2 ** 18;

/** Rows of a product made at a time: they stay in the second cache. */
const rowsAtOnce = 16;

/**
 * Writes the sum of successive base deltas as one. Per module: the factors of all side by side, oldest first, which is
 * exact; or, where that would be larger than the matrix or one of them is a matrix, the dense sum, made in float64 in
 * the order of the deltas and rounded to float32 once. The bits depend on nothing but the deltas and their order. Memory
 * holds a block of rows and one delta's factors of one module.
 *
 * Rounding of a dense sum: a relative 2^-24.
 *
 * @param deltas oldest first, at least one, of modules of `adapterLayout`
 * @returns whether all values are within float32
 */
export function joinBaseDeltas(deltas: readonly BaseDeltaReader[], options: JoinOptions): boolean {
  const { adapterLayout, sink, isFactored = false, blockElements = 2 ** 20 } = options;
  const plans = factorGroups(adapterGroups(adapterLayout)).map((group) => {
    const ranks = deltas.map((delta) => rankOf(delta, moduleOf(group)));
    return planDelta(
      group,
      ranks.reduce((sum, rank) => sum + rank, 0),
      !isFactored || ranks.includes(Number.POSITIVE_INFINITY),
    );
  });
  sink.open(deltaLayout(plans));
  let isFinite = true;
  for (const plan of plans) {
    if (plan.rank === undefined) isFinite = writeSum(deltas, plan, sink, blockElements) && isFinite;
    else if (plan.rank > 0) writeStack(deltas, plan.group, plan.rank, sink);
  }
  return isFinite;
}

/** Infinity: a matrix; 0: no change. */
function rankOf(delta: BaseDeltaReader, module: string): number {
  const { a, dense } = baseDeltaKeys(module);
  return delta.shape(dense) === undefined ? (delta.shape(a)?.[0] ?? 0) : Number.POSITIVE_INFINITY;
}

function writeStack(
  deltas: readonly BaseDeltaReader[],
  group: DeltaPlan["group"],
  rank: number,
  sink: TensorSink,
): void {
  const module = moduleOf(group);
  const { dIn, dOut } = factorSizes(group.factors);
  const { a, b } = baseDeltaKeys(module);
  const parts = deltas.map((delta) => ({ delta, rank: rankOf(delta, module) })).filter((part) => part.rank > 0);
  let top = 0;
  for (const part of parts) {
    const values = part.rank * dIn;
    for (let at = 0; at < values; at += chunk) {
      sink.write(a, part.delta.read(a, at, Math.min(chunk, values - at)), top * dIn + at);
    }
    top += part.rank;
  }
  const rows = Math.max(1, Math.floor(chunk / rank));
  for (let row = 0; row < dOut; row += rows) {
    const height = Math.min(rows, dOut - row);
    const block = new Float32Array(height * rank);
    let left = 0;
    for (const part of parts) {
      const values = part.delta.read(b, row * part.rank, height * part.rank);
      for (let i = 0; i < height; i++) {
        block.set(values.subarray(i * part.rank, (i + 1) * part.rank), i * rank + left);
      }
      left += part.rank;
    }
    sink.write(b, block, row * rank);
  }
}

function writeSum(
  deltas: readonly BaseDeltaReader[],
  { group }: DeltaPlan,
  sink: TensorSink,
  blockElements: number,
): boolean {
  const module = moduleOf(group);
  const { dIn, dOut } = factorSizes(group.factors);
  const { dense } = baseDeltaKeys(module);
  const rows = Math.max(1, Math.floor(blockElements / dIn));
  let isFinite = true;
  for (let row = 0; row < dOut; row += rows) {
    const height = Math.min(rows, dOut - row);
    const sums = new Float64Array(height * dIn);
    for (const delta of deltas) {
      const rank = rankOf(delta, module);
      if (rank === Number.POSITIVE_INFINITY) addTo(sums, 0, delta.read(dense, row * dIn, sums.length));
      else if (rank > 0) addProduct(sums, delta, module, { rank, dIn, row, height });
    }
    const values = Float32Array.from(sums);
    isFinite &&= allFinite(values);
    sink.write(dense, values, row * dIn);
  }
  return isFinite;
}

function addProduct(
  sums: Float64Array,
  delta: BaseDeltaReader,
  module: string,
  { rank, dIn, row, height }: { rank: number; dIn: number; row: number; height: number },
): void {
  const { a, b } = baseDeltaKeys(module);
  const right = columnMatrix(dIn, rank, Float64Array.from(delta.read(a, 0, rank * dIn)));
  const left = Float64Array.from(delta.read(b, row * rank, height * rank));
  for (let start = 0; start < height; start += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, height - start);
    const columns = columnMatrix(rank, count, left.subarray(start * rank, (start + count) * rank));
    addTo(sums, start * dIn, multiply(right, columns).values);
  }
}

function addTo(sums: Float64Array, at: number, values: Float32Array | Float64Array): void {
  for (let i = 0; i < values.length; i++) sums[at + i] = (sums[at + i] ?? 0) + (values[i] ?? 0);
}
