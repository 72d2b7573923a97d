import { moduleOfTensor, tensorKindOf, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorLayout } from "@fedlora/core";

/**
 * A float64 matrix, row-major; a vector has one column. Written for oracles: every product is dense and every loop
 * plain, so that nothing is shared with what it checks.
 */
export interface Dense {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export type DenseState = ReadonlyMap<string, Dense>;

export function dense(rows: number, columns: number, at: (row: number, column: number) => number = () => 0): Dense {
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) values[row * columns + column] = at(row, column);
  }
  return { rows, columns, values };
}

/** 0 outside the matrix: reading a small matrix where a large one is meant pads it with zeros. */
export function entry({ rows, columns, values }: Dense, row: number, column: number): number {
  return row < rows && column < columns ? values[row * columns + column]! : 0;
}

export function denseOf(tensor: Tensor): Dense {
  const [rows = 1, columns = 1] = tensor.shape;
  return { rows, columns, values: Float64Array.from(toFloat32(tensor)) };
}

export function denseState(state: StateDict): DenseState {
  return new Map([...state].map(([name, tensor]) => [name, denseOf(tensor)]));
}

export function product(left: Dense, right: Dense): Dense {
  if (left.columns !== right.rows) throw new Error(`${left.columns} columns times ${right.rows} rows`);
  return dense(left.rows, right.columns, (row, column) => {
    let sum = 0;
    for (let k = 0; k < left.columns; k++) sum += entry(left, row, k) * entry(right, k, column);
    return sum;
  });
}

/** Of the larger size of the two: the smaller one is padded with zeros. */
export function plus(left: Dense, right: Dense): Dense {
  return dense(Math.max(left.rows, right.rows), Math.max(left.columns, right.columns), (row, column) => {
    return entry(left, row, column) + entry(right, row, column);
  });
}

export function times(factor: number, matrix: Dense): Dense {
  return { ...matrix, values: matrix.values.map((value) => factor * value) };
}

export function transposed(matrix: Dense): Dense {
  return dense(matrix.columns, matrix.rows, (row, column) => entry(matrix, column, row));
}

/** The leading block, padded with zeros where the matrix is smaller. */
export function block(matrix: Dense, rows: number, columns: number): Dense {
  return dense(rows, columns, (row, column) => entry(matrix, row, column));
}

/** Frobenius. */
export function norm(matrix: Dense): number {
  return Math.hypot(...matrix.values);
}

/** sum weight_k matrix_k / sum weight_k, the smaller ones padded with zeros. */
export function weightedMean(terms: readonly { readonly weight: number; readonly matrix: Dense }[]): Dense {
  const total = terms.reduce((sum, { weight }) => sum + weight, 0);
  return terms.map(({ weight, matrix }) => times(weight / total, matrix)).reduce((left, right) => plus(left, right));
}

/** The names of the adapted modules of a layout, without `base_model.model.`. */
export function modulesOf(layout: TensorLayout): readonly string[] {
  return layout.filter(({ name }) => tensorKindOf(name) === "lora-a").map(({ name }) => moduleOfTensor(name));
}

/** The key of one of a module's tensors: `lora_A.weight`, `lora_B.weight`, `lora_R.weight`, `vera_lambda_d`, ... */
export const keyOf = (module: string, tensor: string): string => `base_model.model.${module}.${tensor}`;

/**
 * What an adapter of any variant adds to a module's weight, the scaling left out: B A, B R A, or diag(b) B diag(d) A.
 * Undefined where the module is not held.
 */
export function productOf(adapter: DenseState, module: string): Dense | undefined {
  const a = adapter.get(keyOf(module, "lora_A.weight"));
  const b = adapter.get(keyOf(module, "lora_B.weight"));
  if (a === undefined || b === undefined) return undefined;
  const r = adapter.get(keyOf(module, "lora_R.weight"));
  if (r !== undefined) return product(product(b, r), a);
  const inner = adapter.get(keyOf(module, "vera_lambda_d"));
  const outer = adapter.get(keyOf(module, "vera_lambda_b"));
  if (inner === undefined || outer === undefined) return product(b, a);
  const scaled = dense(b.rows, b.columns, (i, j) => entry(outer, i, 0) * entry(b, i, j) * entry(inner, j, 0));
  return product(scaled, a);
}

/** The change that a base delta's tensors make to a module's weight, dense; undefined: none. */
export function deltaOf(delta: DenseState, module: string): Dense | undefined {
  const whole = delta.get(keyOf(module, "delta.weight"));
  const a = delta.get(keyOf(module, "delta_A.weight"));
  const b = delta.get(keyOf(module, "delta_B.weight"));
  return whole ?? (a === undefined || b === undefined ? undefined : product(b, a));
}
