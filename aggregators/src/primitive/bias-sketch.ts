import { deriveKey, randomKey, RandomStream } from "@fedlora/core";
import type { AggregationPass } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import type { BiasOptions, FactorBias } from "./factor-bias.js";
import { allFinite, factorGroups, factorSizes, factorsOf, factorValues, readFactors } from "./product-terms.js";
import type { FactorDeltas, FactorSpecs, FactorValues } from "./product-terms.js";

/** Buckets of one side. */
const buckets = 128;

/** A random map of `size` coordinates to a few buckets, each with a sign; small sides are mapped one to one. */
interface CountSketch {
  readonly width: number;
  readonly bucket: Int32Array;
  readonly sign: Int8Array;
}

interface SketchState {
  readonly left: CountSketch;
  readonly right: CountSketch;
  /** Sums over the clients of weight times (L dB dA R, L dB, dA R), one after the other. */
  readonly sums: ExactSum;
  readonly total: ExactTotal;
  /** Whether all sketches were within float32. */
  isFinite: boolean;
}

/**
 * Estimates the bias of every module in one pass over any number of updates, from two-sided count sketches L X R of the
 * products (Charikar, Chen and Farach-Colton 2002), 128 buckets a side: for each client the changes dB_k, dA_k of the
 * factors against the global adapter give L dB_k [128, r] and dA_k R [r, 128], at the cost of one addition per value, and
 * their product. All three are summed exactly, so the bits do not depend on order, and memory not on the clients.
 *
 * || L X R ||_F^2 is an unbiased estimate of || X ||_F^2 with a relative variance of at most (1 + 2 / 128)^2 - 1, a
 * standard deviation of 18 %, for one module, and of 9 % for the norm; a side of at most 128 adds none. The modules'
 * sketches are independent, so over M modules of one size the deviation is sqrt(M) times smaller.
 */
export function biasSketchPass(
  name: string,
  groups: readonly AdapterGroup[],
  { input, against, seed }: Pick<BiasOptions, "input" | "against" | "seed">,
): AggregationPass<SketchState, FactorBias | undefined> {
  return {
    name,
    groups: factorGroups(groups),
    init(group) {
      const { rank, dIn, dOut } = factorSizes(factorsOf(group));
      const key = deriveKey(randomKey(seed), "bias-sketch", input.round, group.name);
      const left = countSketch(dOut, new RandomStream(deriveKey(key, "left")));
      const right = countSketch(dIn, new RandomStream(deriveKey(key, "right")));
      const length = left.width * right.width + rank * (left.width + right.width);
      return { left, right, sums: new ExactSum(length), total: new ExactTotal(), isFinite: true };
    },
    fold(state, update, group) {
      if (update.weight === 0) return;
      const factors = factorsOf(group);
      const deltas = readFactors(update, factors);
      if (deltas === undefined) return;
      const { left, right, sums, total } = state;
      const changes = fullRank(deltas, factors, factorValues(input.global, factors));
      const { b, a } = sketchFactors(changes, factors, left, right);
      const values = new Float32Array(sums.length);
      values.set(productOf(b, a, factors, left.width, right.width));
      values.set(b, left.width * right.width);
      values.set(a, left.width * right.width + b.length);
      // No metric is worth a round.
      state.isFinite &&= allFinite(values);
      if (!state.isFinite) return;
      sums.add(values, update.weight);
      total.add(update.weight);
    },
    merge(into, other) {
      into.sums.merge(other.sums);
      into.total.merge(other.total);
      into.isFinite &&= other.isFinite;
    },
    seal(state, group) {
      const { sums, total, left, right } = state;
      if (!state.isFinite || total.toNumber() === 0) return undefined;
      const factors = factorsOf(group);
      const means = sums.takeMean(total);
      const sent = against === "means" ? undefined : factorValues(against, factors);
      return sealSketch(means, { factors, left, right, from: factorValues(input.global, factors), sent });
    },
    stateBytes(group) {
      const { rank, dIn, dOut } = factorSizes(factorsOf(group));
      const [left, right] = [Math.min(dOut, buckets), Math.min(dIn, buckets)];
      return 16 * (left * right + rank * (left + right)) + 5 * (dIn + dOut);
    },
  };
}

/** Relative standard deviation of a module's estimated square, at most. */
function deviationOf(left: CountSketch, right: CountSketch, { a, b }: FactorSpecs): number {
  const side = ({ width }: CountSketch, size: number | undefined): number => 1 + (width === size ? 0 : 2 / width);
  return Math.sqrt(side(left, b.shape[0]) * side(right, a.shape[1]) - 1);
}

function countSketch(size: number, stream: RandomStream): CountSketch {
  const bucket = new Int32Array(size);
  const sign = new Int8Array(size).fill(1);
  if (size <= buckets) return { width: size, bucket: bucket.map((_, i) => i), sign };
  for (let i = 0; i < size; i++) {
    const word = stream.uint32();
    bucket[i] = word % buckets;
    sign[i] = word >= 2 ** 31 ? 1 : -1;
  }
  return { width: buckets, bucket, sign };
}

/** Changes against the global factors at full rank: a client of a smaller rank has zeros beyond it. */
function fullRank(deltas: FactorDeltas, factors: FactorSpecs, from: FactorValues): FactorValues {
  const { rank, dIn, dOut } = factorSizes(factors);
  if (deltas.rank === rank) return deltas;
  const a = from.a.map((value) => -value);
  const b = from.b.map((value) => -value);
  a.set(deltas.a.subarray(0, deltas.rank * dIn));
  for (let i = 0; i < dOut; i++) {
    b.set(deltas.b.subarray(i * deltas.rank, (i + 1) * deltas.rank), i * rank);
  }
  return { a, b };
}

/** L B [width, r] and A R [r, width], row-major. */
function sketchFactors(
  { a, b }: FactorValues,
  factors: FactorSpecs,
  left: CountSketch,
  right: CountSketch,
): { readonly b: Float64Array; readonly a: Float64Array } {
  const { rank, dIn, dOut } = factorSizes(factors);
  const outB = new Float64Array(left.width * rank);
  for (let i = 0; i < dOut; i++) {
    const row = (left.bucket[i] ?? 0) * rank;
    const sign = left.sign[i] ?? 0;
    for (let q = 0; q < rank; q++) outB[row + q] = (outB[row + q] ?? 0) + sign * (b[i * rank + q] ?? 0);
  }
  const outA = new Float64Array(rank * right.width);
  for (let q = 0; q < rank; q++) {
    const row = q * right.width;
    for (let j = 0; j < dIn; j++) {
      const at = row + (right.bucket[j] ?? 0);
      outA[at] = (outA[at] ?? 0) + (right.sign[j] ?? 0) * (a[q * dIn + j] ?? 0);
    }
  }
  return { b: outB, a: outA };
}

/** X Y for X [height, r] and Y [r, width], row-major. */
function productOf(
  x: Float64Array,
  y: Float64Array,
  factors: FactorSpecs,
  height: number,
  width: number,
): Float64Array {
  const { rank } = factorSizes(factors);
  const out = new Float64Array(height * width);
  for (let i = 0; i < height; i++) {
    for (let q = 0; q < rank; q++) {
      const factor = x[i * rank + q] ?? 0;
      if (factor === 0) continue;
      for (let j = 0; j < width; j++) {
        const at = i * width + j;
        out[at] = (out[at] ?? 0) + factor * (y[q * width + j] ?? 0);
      }
    }
  }
  return out;
}

interface SealedSketch {
  readonly factors: FactorSpecs;
  readonly left: CountSketch;
  readonly right: CountSketch;
  readonly from: FactorValues;
  readonly sent: FactorValues | undefined;
}

/**
 * With B_0, A_0 the global factors, P, U, V the means of dB dA, dB, dA, and (beta, alpha) the sent changes or the means:
 * sum p_k B_k A_k = B_0 A_0 + B_0 V + U A_0 + P, and that less the sent product is P - beta alpha + B_0 (V - alpha) +
 * (U - beta) A_0; all of it in the sketches.
 */
function sealSketch(means: Float32Array, { factors, left, right, from, sent }: SealedSketch): FactorBias {
  const { rank } = factorSizes(factors);
  const size = left.width * right.width;
  const product = means.subarray(0, size);
  const u = new Float64Array(means.subarray(size, size + left.width * rank));
  const v = new Float64Array(means.subarray(size + left.width * rank));
  const global = sketchFactors(from, factors, left, right);
  const after = sent && sketchFactors(sent, factors, left, right);
  const beta = after === undefined ? u : minus(after.b, global.b);
  const alpha = after === undefined ? v : minus(after.a, global.a);
  const times = (x: Float64Array, y: Float64Array): Float64Array => productOf(x, y, factors, left.width, right.width);
  const start = times(global.b, global.a);
  const [startV, uStart] = [times(global.b, v), times(u, global.a)];
  const sentChange = times(beta, alpha);
  const [movedA, movedB] = [times(global.b, minus(v, alpha)), times(minus(u, beta), global.a)];
  let residual = 0;
  let ideal = 0;
  for (let i = 0; i < size; i++) {
    const p = product[i] ?? 0;
    residual += (p - (sentChange[i] ?? 0) + (movedA[i] ?? 0) + (movedB[i] ?? 0)) ** 2;
    ideal += ((start[i] ?? 0) + (startV[i] ?? 0) + (uStart[i] ?? 0) + p) ** 2;
  }
  return { residual, ideal, deviation: deviationOf(left, right, factors) };
}

function minus(x: Float64Array, y: Float64Array): Float64Array {
  return x.map((value, i) => value - (y[i] ?? 0));
}
