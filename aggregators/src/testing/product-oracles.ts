import { tensorKindOf } from "@fedlora/core";
import { block, dense, keyOf, plus, product, times, weightedMean } from "./dense.js";
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
