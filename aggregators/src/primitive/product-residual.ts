import type { StateDict } from "@fedlora/core";
import { columnMatrix } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { factorSizes, factorValues, scaled, sideBySide, stackTerms, termA, termB } from "./product-terms.js";
import type { FactorSpecs, FactorValues, ProductTerm } from "./product-terms.js";

export interface ResidualOptions {
  /** The adapter that the clients started from. */
  readonly from: StateDict;
  /** The adapter that is sent. */
  readonly sent: StateDict;
  /** Whether what is sent are the means of the factors, but for their rounding to float32. */
  readonly isMean: boolean;
}

/**
 * Factors of R = sum_k p_k B_k A_k - B' A' = left right^T, by columns; see `fedex-lora` for the two forms. The shorter
 * one, of the means, lacks what rounding took from them: about 2^-24 of B' A'.
 *
 * @param terms of full rank, shares that sum to 1; at least one
 */
export function residualFactors(
  terms: readonly ProductTerm[],
  factors: FactorSpecs,
  { from, sent, isMean }: ResidualOptions,
): { readonly left: ColumnMatrix; readonly right: ColumnMatrix } {
  const before = factorValues(from, factors);
  const after = factorValues(sent, factors);
  return isMean ? meanResidual(terms, factors, before, after) : fullResidual(terms, factors, before, after);
}

function meanResidual(
  terms: readonly ProductTerm[],
  factors: FactorSpecs,
  before: FactorValues,
  after: FactorValues,
): { left: ColumnMatrix; right: ColumnMatrix } {
  const { dIn, dOut, rank } = factorSizes(factors);
  const last = terms.at(-1);
  const centre = termB({ rank, a: new Float32Array(), b: after.b }, factors, zero);
  const lastA = last === undefined ? columnMatrix(dIn, 0) : termA(last, factors, before);
  const others = terms.slice(0, -1);
  return {
    left: sideBySide(
      dOut,
      others.map((term) => minus(termB(term, factors, before), centre)),
    ),
    right: sideBySide(
      dIn,
      others.map((term) => scaled(minus(termA(term, factors, before), lastA), term.share)),
    ),
  };
}

function fullResidual(
  terms: readonly ProductTerm[],
  factors: FactorSpecs,
  before: FactorValues,
  after: FactorValues,
): { left: ColumnMatrix; right: ColumnMatrix } {
  const { rank, dIn, dOut } = factorSizes(factors);
  const { left, right } = stackTerms(terms, factors, before);
  const sent = { rank, ...after };
  return {
    left: sideBySide(dOut, [left, scaled(termB(sent, factors, zero), -1)]),
    right: sideBySide(dIn, [right, termA(sent, factors, zero)]),
  };
}

const zero: FactorValues = { a: new Float32Array(), b: new Float32Array() };

/** In place. */
function minus(x: ColumnMatrix, y: ColumnMatrix): ColumnMatrix {
  for (let i = 0; i < x.values.length; i++) x.values[i] = (x.values[i] ?? 0) - (y.values[i] ?? 0);
  return x;
}
