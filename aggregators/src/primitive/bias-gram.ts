import type { AggregationPass } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import type { BiasOptions, FactorBias } from "./factor-bias.js";
import { stackedProductNorms } from "./gram.js";
import { factorSizes, factorValues, productTermsPass } from "./product-terms.js";
import type { FactorSpecs, FactorValues, ProductTerm, ProductTermsState } from "./product-terms.js";

/** The bias of every module from Gram matrices, rank x rank: computed, with an error of float64's rounding. */
export function biasGramPass(
  name: string,
  groups: readonly AdapterGroup[],
  { input, contributors, against }: Pick<BiasOptions, "input" | "contributors" | "against">,
): AggregationPass<ProductTermsState, FactorBias | undefined> {
  return productTermsPass(name, groups, {
    expected: contributors,
    seal(terms, { factors }) {
      if (terms.length === 0) return undefined;
      const sent = against === "means" ? undefined : factorValues(against, factors);
      return biasOf(terms, factors, factorValues(input.global, factors), sent);
    },
  });
}

/**
 * With (C_B, C_A) the sent factors or the means, dB_k = B_k - C_B, dA_k = A_k - C_A and the means eB, eA of these:
 * sum p_k B_k A_k - C_B C_A = sum p_k dB_k dA_k + eB C_A + C_B eA, without cancellation; eB and eA are 0 for the means.
 */
function biasOf(
  terms: readonly ProductTerm[],
  factors: FactorSpecs,
  from: FactorValues,
  sent: FactorValues | undefined,
): FactorBias {
  const { rank, dIn, dOut } = factorSizes(factors);
  const ownA = terms.map((term) => padded(term.a, from.a, { rows: [term.rank, rank], columns: [dIn, dIn] }));
  const ownB = terms.map((term) => padded(term.b, from.b, { rows: [dOut, dOut], columns: [term.rank, rank] }));
  const shares = terms.map(({ share }) => share);
  const centreA = sent === undefined ? meanOf(ownA, shares) : new Float64Array(sent.a);
  const centreB = sent === undefined ? meanOf(ownB, shares) : new Float64Array(sent.b);
  for (const own of ownA) subtract(own, centreA);
  for (const own of ownB) subtract(own, centreB);
  const moved =
    sent === undefined ? { a: [], b: [] } : { a: [centreA, meanOf(ownA, shares)], b: [meanOf(ownB, shares), centreB] };
  const weighted = ownB.map((own, k) => own.map((value) => (shares[k] ?? 0) * value));
  const { all, withoutFirst } = stackedProductNorms(
    [centreA, ...ownA, ...moved.a],
    [centreB, ...weighted, ...moved.b],
    { rank, dIn, dOut },
  );
  return { residual: withoutFirst, ideal: all, deviation: 0 };
}

/** from + delta in float64 where the delta reaches, 0 beyond: a client of a smaller rank has no more. */
function padded(
  delta: Float32Array,
  from: Float32Array,
  { rows, columns }: { readonly rows: readonly [number, number]; readonly columns: readonly [number, number] },
): Float64Array {
  const out = new Float64Array(rows[1] * columns[1]);
  for (let i = 0; i < rows[0]; i++) {
    for (let j = 0; j < columns[0]; j++) {
      const at = i * columns[1] + j;
      out[at] = (from[at] ?? 0) + (delta[i * columns[0] + j] ?? 0);
    }
  }
  return out;
}

function meanOf(values: readonly Float64Array[], shares: readonly number[]): Float64Array {
  const mean = new Float64Array(values[0]?.length ?? 0);
  values.forEach((own, k) => {
    const share = shares[k] ?? 0;
    for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] ?? 0) + share * (own[i] ?? 0);
  });
  return mean;
}

function subtract(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] ?? 0) - (y[i] ?? 0);
}
