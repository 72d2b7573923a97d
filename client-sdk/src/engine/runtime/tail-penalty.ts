import type { HostTensor } from "../engine.js";

/** A factor in memory: A [rank, dIn] or B [dOut, rank], row-major. */
type Factor = Pick<HostTensor, "shape"> & { readonly data: Float32Array };

/**
 * Adds the gradient of lambda * ||B[:, from:]||_F * ||A[from:, :]||_F to the buffers of the factors that are trained:
 * lambda ||A_tail|| B / ||B_tail|| in the tail of B, and the same for A. Where a tail is zero the norm has no gradient;
 * 0, one of its subgradients, is taken, so that a B which starts at zero stays free to move.
 *
 * Norms are summed in float64, every element is rounded once to float32.
 */
export function addTailPenalty(
  factors: { readonly a: Factor; readonly b: Factor },
  gradients: { readonly a: Float32Array | undefined; readonly b: Float32Array | undefined },
  from: number,
  lambda: number,
): void {
  const { a, b } = factors;
  const rank = a.shape[0] ?? 0;
  const startOfA = from * (a.shape[1] ?? 0);
  const normA = Math.sqrt(sumOver(a.data.length - startOfA, (i) => (a.data[startOfA + i] ?? 0) ** 2));
  const inTailOfB = (i: number): boolean => i % rank >= from;
  const normB = Math.sqrt(sumOver(b.data.length, (i) => (inTailOfB(i) ? (b.data[i] ?? 0) ** 2 : 0)));
  if (normA === 0 || normB === 0) return;
  const scaleA = (lambda * normB) / normA;
  const scaleB = (lambda * normA) / normB;
  for (let i = startOfA; gradients.a !== undefined && i < a.data.length; i++) {
    gradients.a[i] = (gradients.a[i] ?? 0) + scaleA * (a.data[i] ?? 0);
  }
  for (let i = 0; gradients.b !== undefined && i < b.data.length; i++) {
    if (inTailOfB(i)) gradients.b[i] = (gradients.b[i] ?? 0) + scaleB * (b.data[i] ?? 0);
  }
}

function sumOver(length: number, term: (index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += term(i);
  return sum;
}
