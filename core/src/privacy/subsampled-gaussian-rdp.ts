import { alternatingSum } from "../math/alternating-sum.js";
import { log1pExp, logAdd, logExpm1 } from "../math/log-space.js";
import { scaledErfc } from "../math/normal.js";

/** Terms of the alternating tail of a fractional order; the error left is below 1e-17 of its first term. */
const tailTerms = 24;
/** Relative error allowed for each term's logarithm and exponential, generous by a factor of about 10. */
const termRounding = 2 ** -48;

/**
 * Renyi divergence of order `order` > 1 of one release of the Poisson-subsampled Gaussian mechanism (an upper bound,
 * tight to rounding), the larger of adding and removing a unit.
 *
 * samplingRate q in [0, 1], noiseMultiplier sigma >= 0 (standard deviation over L2 sensitivity). Infinity for sigma 0.
 * Mironov, Talwar, Zhang, "Renyi Differential Privacy of the Sampled Gaussian Mechanism" (2019), 3.3: with
 * A = E over z ~ N(0, sigma^2) of (1 - q + q exp((2 z - 1) / (2 sigma^2)))^order, the divergence is ln A / (order - 1).
 */
export function subsampledGaussianRdp(order: number, samplingRate: number, noiseMultiplier: number): number {
  if (samplingRate === 0) return 0;
  if (noiseMultiplier === 0) return Number.POSITIVE_INFINITY;
  if (samplingRate === 1) return order / (2 * noiseMultiplier * noiseMultiplier);
  const logMoment = Number.isInteger(order)
    ? integerLogMoment(order, samplingRate, noiseMultiplier)
    : fractionalLogMoment(order, samplingRate, noiseMultiplier);
  return logMoment / (order - 1);
}

/**
 * ln A of an integer order. A is a binomial sum; its first two terms and the 1s of the others add up to 1, so A - 1 is
 * a sum of positive terms alone and keeps its digits however small q is.
 */
function integerLogMoment(order: number, q: number, sigma: number): number {
  let logExcess = Number.NEGATIVE_INFINITY;
  let logBinomial = Math.log(order);
  for (let i = 2; i <= order; i += 1) {
    logBinomial += Math.log((order - i + 1) / i);
    const exponent = (i * i - i) / (2 * sigma * sigma);
    const logTerm = logBinomial + i * Math.log(q) + (order - i) * Math.log1p(-q) + logExpm1(exponent);
    logExcess = logAdd(logExcess, logTerm);
  }
  return log1pExp(logExcess);
}

/**
 * ln A of a fractional order: the two binomial series of the paper, whose coefficients change sign from i > order on.
 * Up to there the terms are positive. Beyond, each is a Beta function times a Mills ratio, so completely monotone in i,
 * and the alternating rest is summed with a proven error. What rounding may have taken is added: the result is an upper
 * bound. Should the digits be lost all the same (a sum below 1, which no A is), the next integer order takes its place:
 * the divergence never falls with the order.
 */
function fractionalLogMoment(order: number, q: number, sigma: number): number {
  const above = Math.ceil(order);
  const series = logTerms(order, q, sigma, above + tailTerms);
  const scale = Math.max(...series);
  const magnitudes = series.map((term) => Math.exp(term - scale));
  const head = magnitudes.slice(0, above + 1).reduce((sum, term) => sum + term, 0);
  const tail = magnitudes.slice(above + 1);
  const rounding = termRounding * (1 + Math.abs(scale)) * (head + (tail[0] ?? 0));
  const logMoment = scale + Math.log(head - alternatingSum(tail) + rounding);
  if (logMoment >= 0) return logMoment;
  return (integerLogMoment(above, q, sigma) * (order - 1)) / (above - 1);
}

/** ln |i-th term| for i = 0 .. last: both series of section 3.3 together, whose i-th terms have the same sign. */
function logTerms(order: number, q: number, sigma: number, last: number): number[] {
  const logOdds = Math.log(q) - Math.log1p(-q);
  const z0 = 0.5 - sigma * sigma * logOdds;
  // Where the erfc is small, its exponential and the term's own cancel to this, the same for every i.
  const common = order * Math.log1p(-q) - (z0 * z0) / (2 * sigma * sigma);
  const half = (power: number, distance: number): number => {
    const x = distance / (Math.SQRT2 * sigma);
    if (x > 0) return common + Math.log(0.5 * scaledErfc(x));
    const direct = order * Math.log1p(-q) + power * logOdds + (power * power - power) / (2 * sigma * sigma);
    return direct + Math.log(1 - 0.5 * Math.exp(-x * x) * scaledErfc(-x));
  };
  const terms: number[] = [];
  let logBinomial = 0;
  for (let i = 0; i <= last; i += 1) {
    if (i > 0) logBinomial += Math.log(Math.abs(order - i + 1) / i);
    const j = order - i;
    terms.push(logBinomial + logAdd(half(i, i - z0), half(j, z0 - j)));
  }
  return terms;
}
