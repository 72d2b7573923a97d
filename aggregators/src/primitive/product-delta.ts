import { baseDeltaKeys, canonicalLayout, moduleOfTensor } from "@fedlora/core";
import type { TensorLayout, TensorSpec } from "@fedlora/core";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import type { TensorSink } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { allFinite, factorSizes } from "./product-terms.js";
import type { FactorSpecs } from "./product-terms.js";

/** How the change of one module's base weight is written. */
export interface DeltaPlan {
  readonly group: AdapterGroup & { readonly factors: FactorSpecs };
  /** Columns of delta_B and rows of delta_A; undefined: dense. */
  readonly rank: number | undefined;
}

/**
 * The smaller form of a change of this rank: factors of rank (dIn + dOut) values, or dIn dOut values.
 *
 * @param mayBeDense default true
 */
export function planDelta(group: DeltaPlan["group"], rank: number, mayBeDense = true): DeltaPlan {
  const { dIn, dOut } = factorSizes(group.factors);
  return { group, rank: mayBeDense && rank * (dIn + dOut) > dIn * dOut ? undefined : rank };
}

export function moduleOf({ factors }: DeltaPlan["group"]): string {
  return moduleOfTensor(factors.a.name);
}

/** The tensors of a base delta; modules of rank 0 have none. */
export function deltaLayout(plans: readonly DeltaPlan[]): TensorLayout {
  const spec = (name: string, ...shape: number[]): TensorSpec => ({ name, dtype: "F32", shape });
  return canonicalLayout(
    plans.flatMap(({ group, rank }) => {
      const { dIn, dOut } = factorSizes(group.factors);
      const { a, b, dense } = baseDeltaKeys(moduleOf(group));
      if (rank === undefined) return [spec(dense, dOut, dIn)];
      return rank === 0 ? [] : [spec(a, rank, dIn), spec(b, dOut, rank)];
    }),
  );
}

/** Values written at a time. */
const chunk = 2 ** 18;

/**
 * Writes left right^T as a module's factors in float32, the scaling folded into A.
 *
 * @returns whether all values are within float32
 */
export function writeFactors(
  sink: TensorSink,
  module: string,
  left: ColumnMatrix,
  right: ColumnMatrix,
  scaling: number,
): boolean {
  const keys = baseDeltaKeys(module);
  const rank = left.columns;
  let isFinite = true;
  const write = (name: string, values: Float32Array, at: number): void => {
    isFinite &&= allFinite(values);
    sink.write(name, values, at);
  };
  for (let at = 0; at < right.values.length; at += chunk) {
    const block = new Float32Array(Math.min(chunk, right.values.length - at));
    for (let i = 0; i < block.length; i++) block[i] = scaling * (right.values[at + i] ?? 0);
    write(keys.a, block, at);
  }
  const rows = Math.max(1, Math.floor(chunk / rank));
  for (let row = 0; row < left.rows; row += rows) {
    const height = Math.min(rows, left.rows - row);
    const block = new Float32Array(height * rank);
    for (let q = 0; q < rank; q++) {
      for (let i = 0; i < height; i++) block[i * rank + q] = left.values[q * left.rows + row + i] ?? 0;
    }
    write(keys.b, block, row * rank);
  }
  return isFinite;
}
