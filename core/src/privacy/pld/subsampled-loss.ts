/**
 * The privacy loss of one Poisson-subsampled Gaussian release: P = (1 - q) N(0, sigma^2) + q N(1, sigma^2) with the unit,
 * Q = N(0, sigma^2) without it. `remove` looks at ln (P / Q) under P, `add` at ln (Q / P) under Q; a guarantee for
 * neighbours either way needs both. q = 1 is the plain Gaussian mechanism.
 */
export interface SubsampledGaussian {
  /** q, in (0, 1]. */
  readonly samplingRate: number;
  /** sigma, above 0: standard deviation over L2 sensitivity. */
  readonly noiseMultiplier: number;
}

export type LossDirection = "remove" | "add";

/** ln (P / Q) at the outcome x; ascends from ln(1 - q) without bound. */
export function lossAt(x: number, { samplingRate: q, noiseMultiplier: sigma }: SubsampledGaussian): number {
  const u = (2 * x - 1) / (2 * sigma * sigma);
  if (u > 0) return u + Math.log(q + (1 - q) * Math.exp(-u));
  if (q === 1) return u;
  // Below -1 the sum of exponentials keeps the digits of 1 - q, near 0 the difference to 1 does.
  return u < -1 ? Math.log(1 - q + q * Math.exp(u)) : Math.log1p(q * Math.expm1(u));
}

/** The u = (2 x - 1) / (2 sigma^2) at which ln (P / Q) is `loss`; -Infinity at ln(1 - q) and below. */
export function exponentAt(loss: number, q: number): number {
  if (loss >= 1) return loss + Math.log1p((q - 1) * Math.exp(-loss)) - Math.log(q);
  if (q === 1) return loss;
  if (loss < -1) return Math.log(Math.max(0, Math.exp(loss) - (1 - q)) / q);
  return Math.log1p(Math.max(-1, Math.expm1(loss) / q));
}
