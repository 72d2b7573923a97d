import { tensorKindOf } from "@fedlora/core";
import { block, dense, keyOf, plus, product, times, transposed, weightedMean } from "./dense.js";
import type { Dense, DenseState } from "./dense.js";
import type { OracleResult, OracleRound, OracleUpdate } from "./method-case.js";

/** A client's factors of a module after its update, in its rank; undefined where it does not hold the module. */
export function ownFactors(
  { global }: OracleRound,
  { tensors }: OracleUpdate,
  module: string,
): { readonly a: Dense; readonly b: Dense } | undefined {
  const [a, b] = ["lora_A.weight", "lora_B.weight"].map((kind) => {
    const key = keyOf(module, kind);
    const delta = tensors.get(key);
    return delta && plus(block(global.get(key)!, delta.rows, delta.columns), delta);
  });
  return a && b && { a, b };
}

/**
 * scaling * sum_k p_k B_k A_k of every module, and the weighted means of the heads.
 *
 * @param counted `all`: updates that do not hold the module count as a product of zero; `holders`: they do not count, and
 *   a module that nobody holds keeps the global product
 */
export function meanOfProducts(round: OracleRound, counted: "all" | "holders" = "all"): OracleResult {
  const weights = new Map<string, Dense>(meanOfHeads(round));
  for (const module of round.modules) {
    const a = round.global.get(keyOf(module, "lora_A.weight"))!;
    const b = round.global.get(keyOf(module, "lora_B.weight"))!;
    const terms = round.updates.flatMap((update) => {
      const own = ownFactors(round, update, module);
      if (own === undefined && counted === "holders") return [];
      const matrix = own === undefined ? dense(b.rows, a.columns) : product(own.b, own.a);
      return [{ weight: update.weight, matrix }];
    });
    const mean = terms.length === 0 ? product(b, a) : weightedMean(terms);
    weights.set(module, times(round.scaling(module), mean));
  }
  return { weights };
}

export function meanOfHeads({ global, updates }: OracleRound): DenseState {
  return new Map(
    [...global].flatMap(([name, from]) => {
      if (tensorKindOf(name) !== "head") return [];
      const mean = weightedMean(updates.map(({ weight, tensors }) => ({ weight, matrix: tensors.get(name)! })));
      return [[name, plus(from, mean)]];
    }),
  );
}

/** LoRA-FAIR's ridge solution in full matrices: B' + (D A'^T - B' A' A'^T) (A' A'^T + lambda I)^-1. */
export function correctedMean(round: OracleRound, lambda: number): OracleResult {
  const tensors = new Map<string, Dense>(meanOfHeads(round));
  for (const module of round.modules) {
    const own = round.updates.map((update) => ({ ...ownFactors(round, update, module)!, weight: update.weight }));
    const a = weightedMean(own.map(({ weight, a: matrix }) => ({ weight, matrix })));
    const b = weightedMean(own.map(({ weight, b: matrix }) => ({ weight, matrix })));
    const ideal = weightedMean(own.map(({ weight, a: right, b: left }) => ({ weight, matrix: product(left, right) })));
    const target = product(plus(ideal, times(-1, product(b, a))), transposed(a));
    const identity = dense(a.rows, a.rows, (i, j) => (i === j ? lambda : 0));
    tensors.set(keyOf(module, "lora_A.weight"), a);
    tensors.set(
      keyOf(module, "lora_B.weight"),
      plus(b, transposed(solve(plus(product(a, transposed(a)), identity), transposed(target)))),
    );
  }
  return { tensors };
}

/** M^-1 X by Gaussian elimination with row exchanges. */
function solve(m: Dense, x: Dense): Dense {
  const rows = Array.from({ length: m.rows }, (_, i) => [
    ...m.values.subarray(i * m.columns, (i + 1) * m.columns),
    ...x.values.subarray(i * x.columns, (i + 1) * x.columns),
  ]);
  for (let c = 0; c < m.rows; c++) {
    const pivot = rows
      .slice(c)
      .reduce((best, row, i) => (Math.abs(row[c]!) > Math.abs(rows[best]![c]!) ? c + i : best), c);
    [rows[c], rows[pivot]] = [rows[pivot]!, rows[c]!];
    for (let i = 0; i < m.rows; i++) {
      if (i === c) continue;
      const factor = rows[i]![c]! / rows[c]![c]!;
      rows[i] = rows[i]!.map((value, j) => value - factor * rows[c]![j]!);
    }
  }
  return dense(x.rows, x.columns, (i, j) => rows[i]![m.columns + j]! / rows[i]![i]!);
}
