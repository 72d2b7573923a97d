import type { TruncatedSvd } from "../linalg/factored-product-svd.js";
import { factorSizes } from "./product-terms.js";
import type { FactorSpecs, FactorValues } from "./product-terms.js";

/** Singular values below this share of the largest are what rounding leaves of zero. */
const roundingShare = 2 ** -46;

/**
 * B = U S and A = V^T at the module's rank, float32, row-major. Directions that the product does not have keep the old rows of A, with a
 * zero column of B: they can be trained.
 */
export function svdFactors({ u, s, v }: TruncatedSvd, specs: FactorSpecs, from: FactorValues): FactorValues {
  const { rank, dIn, dOut } = factorSizes(specs);
  const a = from.a.slice();
  const b = new Float32Array(dOut * rank);
  const least = (s[0] ?? 0) * roundingShare;
  for (let q = 0; q < Math.min(rank, u.columns); q++) {
    const size = s[q] ?? 0;
    if (size <= least) break;
    a.set(v.values.subarray(q * dIn, (q + 1) * dIn), q * dIn);
    for (let i = 0; i < dOut; i++) b[i * rank + q] = size * (u.values[q * dOut + i] ?? 0);
  }
  return { a, b };
}
