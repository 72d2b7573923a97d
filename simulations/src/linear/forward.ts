import type { FeatureTable } from "../data/simulation-data.js";

/**
 * An adapter of the linear model as arrays, row-major: A [rank, dIn], B [labels, rank], R [rank, rank] where there is one
 * (W + s B R A), bias [labels]; `base` is W [labels, dIn], undefined where it is zero.
 */
export interface LinearWeights {
  readonly rank: number;
  readonly labels: number;
  readonly dIn: number;
  readonly scaling: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly r: Float32Array | undefined;
  readonly bias: Float32Array;
  readonly base: Float32Array | undefined;
}

/** Room for one example's numbers on the way. */
export interface Activations {
  /** A x and, with R, R A x; each [rank]. */
  readonly hidden: Float64Array;
  readonly mixed: Float64Array;
  /** [labels]; after `softmaxLoss` the gradient of the loss. */
  readonly logits: Float64Array;
}

export function createActivations(rank: number, labels: number): Activations {
  return { hidden: new Float64Array(rank), mixed: new Float64Array(rank), logits: new Float64Array(labels) };
}

/** Logits of one row of the table, in double precision. */
export function forward(weights: LinearWeights, table: FeatureTable, row: number, at: Activations): void {
  const { rank, labels, dIn, scaling, a, b, r, bias, base } = weights;
  const { hidden, mixed, logits } = at;
  const { offsets, indices, values } = table;
  const from = offsets[row] ?? 0;
  const to = offsets[row + 1] ?? 0;
  for (let k = 0; k < rank; k += rowsAtOnce) multiplyRows(a, dIn, k, table, from, to, hidden);
  for (let k = 0; k < rank; k += 1) {
    if (r === undefined) {
      mixed[k] = hidden[k] ?? 0;
      continue;
    }
    let sum = 0;
    for (let j = 0; j < rank; j += 1) sum += (r[k * rank + j] ?? 0) * (hidden[j] ?? 0);
    mixed[k] = sum;
  }
  for (let label = 0; label < labels; label += 1) {
    let sum = 0;
    for (let k = 0; k < rank; k += 1) sum += (b[label * rank + k] ?? 0) * (mixed[k] ?? 0);
    let logit = (bias[label] ?? 0) + scaling * sum;
    if (base !== undefined) {
      const start = label * dIn;
      for (let i = from; i < to; i += 1) logit += (base[start + (indices[i] ?? 0)] ?? 0) * (values[i] ?? 0);
    }
    logits[label] = logit;
  }
}

/** Cross entropy in nats; the logits become its gradient, softmax minus one-hot. */
export function softmaxLoss(logits: Float64Array, label: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit);
  const own = (logits[label] ?? 0) - largest;
  let sum = 0;
  for (let i = 0; i < logits.length; i += 1) {
    const power = Math.exp((logits[i] ?? 0) - largest);
    logits[i] = power;
    sum += power;
  }
  for (let i = 0; i < logits.length; i += 1) logits[i] = (logits[i] ?? 0) / sum;
  logits[label] = (logits[label] ?? 0) - 1;
  return Math.log(sum) - own;
}

/** Gradients in the shapes of the weights; undefined: not trained. */
export interface LinearGradients {
  readonly a: Float32Array | undefined;
  readonly b: Float32Array | undefined;
  readonly r: Float32Array | undefined;
  readonly bias: Float32Array | undefined;
}

/** Adds one row's gradients, times `weight`; `at` holds what `forward` and `softmaxLoss` left. */
export function backward(
  weights: LinearWeights,
  table: FeatureTable,
  row: number,
  at: Activations,
  weight: number,
  gradients: LinearGradients,
): void {
  const { rank, labels, dIn, scaling, b, r } = weights;
  const { hidden, mixed, logits } = at;
  const { offsets } = table;
  const ofMixed = new Float64Array(rank);
  for (let label = 0; label < labels; label += 1) {
    const g = (logits[label] ?? 0) * weight;
    if (gradients.bias !== undefined) gradients.bias[label] = (gradients.bias[label] ?? 0) + g;
    for (let k = 0; k < rank; k += 1) {
      const at = label * rank + k;
      if (gradients.b !== undefined) gradients.b[at] = (gradients.b[at] ?? 0) + g * scaling * (mixed[k] ?? 0);
      ofMixed[k] = (ofMixed[k] ?? 0) + g * scaling * (b[at] ?? 0);
    }
  }
  let ofHidden = ofMixed;
  if (r !== undefined) {
    ofHidden = new Float64Array(rank);
    for (let k = 0; k < rank; k += 1) {
      for (let j = 0; j < rank; j += 1) {
        const at = k * rank + j;
        if (gradients.r !== undefined) gradients.r[at] = (gradients.r[at] ?? 0) + (ofMixed[k] ?? 0) * (hidden[j] ?? 0);
        ofHidden[j] = (ofHidden[j] ?? 0) + (ofMixed[k] ?? 0) * (r[at] ?? 0);
      }
    }
  }
  if (gradients.a === undefined) return;
  const from = offsets[row] ?? 0;
  const to = offsets[row + 1] ?? 0;
  for (let k = 0; k < rank; k += rowsAtOnce) addRows(gradients.a, dIn, k, table, from, to, ofHidden);
}

/** Rows of A that one pass over an example's numbers takes: each number is loaded once for so many products. */
const rowsAtOnce = 4;

/** hidden[k] to hidden[k + 3]: rows of A times the table's numbers from `from` to `to`. */
function multiplyRows(
  a: Float32Array,
  dIn: number,
  k: number,
  { indices, values }: FeatureTable,
  from: number,
  to: number,
  hidden: Float64Array,
): void {
  const [r0, r1, r2, r3] = [k * dIn, (k + 1) * dIn, (k + 2) * dIn, (k + 3) * dIn];
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = from; i < to; i += 1) {
    const at = indices[i] ?? 0;
    const value = values[i] ?? 0;
    // Beyond the last row there is nothing, which adds nothing.
    s0 += (a[r0 + at] ?? 0) * value;
    s1 += (a[r1 + at] ?? 0) * value;
    s2 += (a[r2 + at] ?? 0) * value;
    s3 += (a[r3 + at] ?? 0) * value;
  }
  hidden.set([s0, s1, s2, s3].slice(0, hidden.length - k), k);
}

/** Adds ofHidden[k] to ofHidden[k + 3] times the numbers to rows of A's gradient. */
function addRows(
  target: Float32Array,
  dIn: number,
  k: number,
  { indices, values }: FeatureTable,
  from: number,
  to: number,
  ofHidden: Float64Array,
): void {
  const [r0, r1, r2, r3] = [k * dIn, (k + 1) * dIn, (k + 2) * dIn, (k + 3) * dIn];
  const [g0, g1, g2, g3] = [ofHidden[k] ?? 0, ofHidden[k + 1] ?? 0, ofHidden[k + 2] ?? 0, ofHidden[k + 3] ?? 0];
  for (let i = from; i < to; i += 1) {
    const at = indices[i] ?? 0;
    const value = values[i] ?? 0;
    // A write beyond the last row is none.
    target[r0 + at] = (target[r0 + at] ?? 0) + g0 * value;
    target[r1 + at] = (target[r1 + at] ?? 0) + g1 * value;
    target[r2 + at] = (target[r2 + at] ?? 0) + g2 * value;
    target[r3 + at] = (target[r3 + at] ?? 0) + g3 * value;
  }
}
