import { baseDeltaKeys, FedLoraError } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { columnMatrix, multiply } from "../linalg/column-matrix.js";
import type { AggregationPass, TensorGroup, TensorSink } from "../method.js";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import { moduleOf } from "./product-delta.js";
import type { DeltaPlan } from "./product-delta.js";
import { allFinite, factorSizes, factorValues, readFactors, sumOf } from "./product-terms.js";
import type { FactorDeltas, FactorValues } from "./product-terms.js";

/** Some rows of one module's dOut x dIn matrix. */
interface RowBlock extends TensorGroup {
  readonly group: DeltaPlan["group"];
  readonly row: number;
  readonly rows: number;
}

interface RowBlockState {
  readonly sum: ExactSum;
  /** One element: the sum of the weights. */
  readonly total: ExactTotal;
  /** What is taken off every product, in float64; undefined: nothing. */
  readonly subtracted: Float64Array | undefined;
}

export interface DenseProductOptions {
  readonly modules: readonly DeltaPlan["group"][];
  /** The adapter that the clients started from. */
  readonly from: StateDict;
  /** The adapter whose product is taken off; undefined: none. */
  readonly sent: StateDict | undefined;
  readonly scalingOf: (module: string) => number;
  readonly sink: TensorSink;
  /** Elements of one block of rows, about; default 2^20: 16 MB of exact sums. */
  readonly blockElements?: number;
}

/**
 * Writes scaling * (sum_k p_k B_k A_k - B' A') of some modules dense, one block of rows after the other: each client's
 * block of B_k A_k - B' A' is computed in float64, rounded to float32 once and added exactly, so the bits depend neither
 * on order nor on sharding, and memory neither on the clients nor on dOut x dIn. Updates that do not hold a module count
 * as a product of zero. Sealed: whether all values are within float32.
 *
 * Rounding: a relative 2^-24 of each client's difference, and of the mean.
 */
export function denseProductPass(
  name: string,
  { modules, from, sent, scalingOf, sink, blockElements = 2 ** 20 }: DenseProductOptions,
): AggregationPass<RowBlockState, boolean> {
  return {
    name,
    groups: modules.flatMap((group) => rowBlocks(group, blockElements)),
    init(group) {
      const { rows, group: module, row } = group as RowBlock;
      const { dIn, rank } = factorSizes(module.factors);
      const sentValues = sent === undefined ? undefined : factorValues(sent, module.factors);
      return {
        sum: new ExactSum(rows * dIn),
        total: new ExactTotal(),
        subtracted: sentValues && productRows({ ...sentValues, rank }, undefined, group as RowBlock, row),
      };
    },
    fold(state, update, group) {
      if (update.weight === 0) return;
      const block = group as RowBlock;
      const deltas = readFactors(update, block.group.factors);
      state.total.add(update.weight);
      const values = deltas && productRows(deltas, factorValues(from, block.group.factors), block, block.row);
      const difference = differenceOf(values, state.subtracted);
      if (difference === undefined) return;
      if (!allFinite(difference)) {
        throw new FedLoraError(
          "update-not-finite",
          `update "${update.id}": the product of its factors of "${block.group.name}" is beyond float32`,
          {
            details: { updateId: update.id, tensor: block.group.factors.b.name },
          },
        );
      }
      state.sum.add(difference, update.weight);
    },
    merge(into, other) {
      into.sum.merge(other.sum);
      into.total.merge(other.total);
    },
    seal({ sum, total }, group) {
      const { group: module, row } = group as RowBlock;
      const name = moduleOf(module);
      const scaling = scalingOf(name);
      const mean = sum.takeMean(total);
      const values = scaling === 1 ? mean : mean.map((value) => scaling * value);
      sink.write(baseDeltaKeys(name).dense, values, row * factorSizes(module.factors).dIn);
      return allFinite(values);
    },
    stateBytes(group) {
      const { rows, group: module } = group as RowBlock;
      return 24 * rows * factorSizes(module.factors).dIn;
    },
  };
}

function rowBlocks(group: DeltaPlan["group"], elements: number): RowBlock[] {
  const { dIn, dOut } = factorSizes(group.factors);
  const height = Math.max(1, Math.floor(elements / dIn));
  return Array.from({ length: Math.ceil(dOut / height) }, (_, k) => {
    const row = k * height;
    const rows = Math.min(height, dOut - row);
    return { name: `${group.name}#${row}`, tensors: group.tensors, group, row, rows };
  });
}

/** Rows of a product made at a time: they stay in the second cache. */
const rowsAtOnce = 16;

/** Rows of (B + dB) (A + dA), row-major in float64. */
function productRows(
  term: FactorDeltas,
  from: FactorValues | undefined,
  { group, rows }: RowBlock,
  row: number,
): Float64Array {
  const { rank: fullRank, dIn } = factorSizes(group.factors);
  const { rank } = term;
  const right = columnMatrix(dIn, rank, sumOf(term.a, from?.a));
  const out = new Float64Array(rows * dIn);
  for (let start = 0; start < rows; start += rowsAtOnce) {
    const left = columnMatrix(rank, Math.min(rowsAtOnce, rows - start));
    for (let i = 0; i < left.columns; i++) {
      const at = row + start + i;
      for (let q = 0; q < rank; q++) {
        left.values[i * rank + q] = (term.b[at * rank + q] ?? 0) + (from?.b[at * fullRank + q] ?? 0);
      }
    }
    out.set(multiply(right, left).values, start * dIn);
  }
  return out;
}

function differenceOf(
  values: Float64Array | undefined,
  subtracted: Float64Array | undefined,
): Float32Array | undefined {
  if (values === undefined && subtracted === undefined) return undefined;
  const out = new Float32Array(values?.length ?? subtracted?.length ?? 0);
  for (let i = 0; i < out.length; i++) out[i] = (values?.[i] ?? 0) - (subtracted?.[i] ?? 0);
  return out;
}
