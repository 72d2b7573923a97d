import { fromFloat32 } from "@fedlora/core";
import type { RandomStream, Tensor } from "@fedlora/core";
import { rowSubspaceSvd } from "./row-subspace-svd.js";

export interface PrincipalFactors {
  /** [rank, dIn] */
  readonly a: Tensor;
  /** [dOut, rank] */
  readonly b: Tensor;
  /** Share of the weight's squared norm that stays outside, 0 to 1. */
  readonly leftOut: number;
}

/** Values settle long before vectors do, and PiSSA's error is the vectors'. */
const settled = 1e-10;
const maxSweeps = 30;

/**
 * PiSSA's start of one module: of the weight's leading singular triplets W ~ U S V^T, A0 = sqrt(S / s) V^T and
 * B0 = U sqrt(S / s), so that s B0 A0 = U S V^T. Singular vectors turn as `rowSubspaceSvd` says.
 *
 * Paper: Meng et al., "PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language Models", 2024.
 *
 * @param weight [dOut, dIn], row by row
 */
export function principalFactors(
  weight: { readonly values: Float32Array; readonly dOut: number; readonly dIn: number },
  { rank, scaling, stream }: { readonly rank: number; readonly scaling: number; readonly stream: RandomStream },
): PrincipalFactors {
  const { values, dOut, dIn } = weight;
  const read = (first: number, count: number, into: Float64Array): void =>
    into.set(values.subarray(first * dIn, (first + count) * dIn));
  const { u, s, v, leftOut } = rowSubspaceSvd({ rows: dOut, columns: dIn, read }, { rank, stream, settled, maxSweeps });
  const a = new Float32Array(rank * dIn);
  const b = new Float32Array(dOut * rank);
  for (let k = 0; k < rank; k++) {
    const root = Math.sqrt((s[k] ?? 0) / scaling);
    for (let j = 0; j < dIn; j++) a[k * dIn + j] = root * (v[k * dIn + j] ?? 0);
    for (let i = 0; i < dOut; i++) b[i * rank + k] = root * (u[k * dOut + i] ?? 0);
  }
  return { a: fromFloat32(a, [rank, dIn]), b: fromFloat32(b, [dOut, rank]), leftOut };
}
