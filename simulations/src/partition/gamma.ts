import type { RandomStream } from "@fedlora/core";

/**
 * One draw from a symmetric Dirichlet distribution over `size` categories: positive shares with sum 1.
 *
 * Gamma draws by Marsaglia and Tsang (2000), "A simple method for generating gamma variables"; for alpha < 1 in logarithms,
 * with Gamma(alpha) = Gamma(alpha + 1) U^(1 / alpha), since the draws themselves would underflow.
 */
export function drawDirichlet(stream: RandomStream, size: number, alpha: number): Float64Array {
  const logs = Float64Array.from({ length: size }, () => {
    const boosted = alpha < 1 ? alpha + 1 : alpha;
    const log = Math.log(drawGamma(stream, boosted));
    return alpha < 1 ? log + Math.log(1 - stream.uniform()) / alpha : log;
  });
  const largest = logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const shares = logs.map((log) => Math.exp(log - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

/** Gamma with shape alpha >= 1 and scale 1. */
function drawGamma(stream: RandomStream, alpha: number): number {
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = stream.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const u = 1 - stream.uniform();
    if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
