import { FedLoraError } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { columnMatrix, crossGram, multiply } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import type { AggregationPass } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import {
  allFinite,
  factorGroups,
  factorSizes,
  factorsOf,
  factorValues,
  readFactors,
  termA,
  termB,
} from "./product-terms.js";
import type { FactorSpecs } from "./product-terms.js";

interface ProjectedState {
  readonly sum: ExactSum;
  readonly total: ExactTotal;
  /** A'^T [dIn, r] and B' [dOut, r], by columns. */
  readonly a: ColumnMatrix;
  readonly b: ColumnMatrix;
}

export interface ProjectedResidualOptions<Sealed> {
  /** The adapter that the clients started from. */
  readonly from: StateDict;
  /** The means of the factors, A' and B'. */
  readonly sent: StateDict;
  readonly seal: (residual: ColumnMatrix, factors: FactorSpecs) => Sealed;
}

/**
 * (sum_k p_k B_k A_k - B' A') A'^T [dOut, r] of every module, (A', B') being the means: each client adds
 * (B_k - B') A_k A'^T, computed in float64, rounded to float32 once and summed exactly. (The rest, B' (A_k - A') A'^T, sums
 * to zero, but for the rounding of A'.) Memory depends neither on the clients nor on dOut x dIn, the bits neither on
 * order nor on sharding.
 */
export function projectedResidualPass<Sealed>(
  name: string,
  groups: readonly AdapterGroup[],
  { from, sent, seal }: ProjectedResidualOptions<Sealed>,
): AggregationPass<ProjectedState, Sealed> {
  return {
    name,
    groups: factorGroups(groups),
    init(group) {
      const factors = factorsOf(group);
      const { rank, dOut } = factorSizes(factors);
      const term = { rank, ...factorValues(sent, factors) };
      const [a, b] = [termA(term, factors, nothing), termB(term, factors, nothing)];
      return { sum: new ExactSum(dOut * rank), total: new ExactTotal(), a, b };
    },
    fold(state, update, group) {
      if (update.weight === 0) return;
      const factors = factorsOf(group);
      const deltas = readFactors(update, factors);
      if (deltas === undefined) return;
      const before = factorValues(from, factors);
      const ownA = termA(deltas, factors, before);
      const ownB = termB(deltas, factors, before);
      const projected = crossGram(ownA, state.a);
      subtract(ownB, state.b);
      const rounded = new Float32Array(multiply(ownB, projected).values);
      if (!allFinite(rounded)) {
        throw new FedLoraError(
          "update-not-finite",
          `update "${update.id}": the product of its factors of "${group.name}" is beyond float32`,
          { details: { updateId: update.id, tensor: factors.b.name } },
        );
      }
      state.sum.add(rounded, update.weight);
      state.total.add(update.weight);
    },
    merge(into, other) {
      into.sum.merge(other.sum);
      into.total.merge(other.total);
    },
    seal({ sum, total, b }, group) {
      const values = new Float64Array(sum.takeMean(total));
      return seal(columnMatrix(b.rows, b.columns, values), factorsOf(group));
    },
    stateBytes(group) {
      const { rank, dIn, dOut } = factorSizes(factorsOf(group));
      return 24 * rank * (dIn + dOut);
    },
  };
}

const nothing = { a: new Float32Array(), b: new Float32Array() };

/** In place. */
function subtract(x: ColumnMatrix, y: ColumnMatrix): void {
  for (let i = 0; i < x.values.length; i++) x.values[i] = (x.values[i] ?? 0) - (y.values[i] ?? 0);
}
