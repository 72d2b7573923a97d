/** ln(e^a + e^b) without overflow; -Infinity stands for ln 0. */
export function logAdd(a: number, b: number): number {
  const high = Math.max(a, b);
  if (high === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY) return high;
  return high + Math.log1p(Math.exp(Math.min(a, b) - high));
}

/** ln(1 + e^a), the last bits kept for very negative a. */
export function log1pExp(a: number): number {
  return a > 0 ? a + Math.log1p(Math.exp(-a)) : Math.log1p(Math.exp(a));
}

/** ln(e^a - 1) for a > 0; NaN below. */
export function logExpm1(a: number): number {
  return a > 1 ? a + Math.log1p(-Math.exp(-a)) : Math.log(Math.expm1(a));
}
