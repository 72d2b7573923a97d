import type { FeatureTable } from "../data/simulation-data.js";
import type { RowProducts } from "./row-products.js";

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
  /** Its products with A, and the sum of A's gradients; they hold the rows that are trained on, and A. */
  readonly products: RowProducts;
  /** R A x, with R; [rank], as is its gradient. */
  readonly mixed: Float64Array;
  readonly ofMixed: Float64Array;
  /** [labels]; after `softmaxLoss` the gradient of the loss. */
  readonly logits: Float64Array;
}

export function createActivations(products: RowProducts, { rank, labels }: LinearWeights): Activations {
  return {
    products,
    mixed: new Float64Array(rank),
    ofMixed: new Float64Array(rank),
    logits: new Float64Array(labels),
  };
}

/** Logits of one example of the products, which holds rows of the table, in double precision. */
export function forward(weights: LinearWeights, table: FeatureTable, example: number, at: Activations): void {
  const { rank, labels, dIn, scaling, b, r, bias, base } = weights;
  const { products, mixed, logits } = at;
  products.project(example);
  const { hidden } = products;
  if (r === undefined) mixed.set(hidden);
  else {
    for (let k = 0; k < rank; k += 1) {
      let sum = 0;
      for (let j = 0; j < rank; j += 1) sum += (r[k * rank + j] ?? 0) * (hidden[j] ?? 0);
      mixed[k] = sum;
    }
  }
  for (let label = 0; label < labels; label += 1) {
    let sum = 0;
    for (let k = 0; k < rank; k += 1) sum += (b[label * rank + k] ?? 0) * (mixed[k] ?? 0);
    logits[label] = (bias[label] ?? 0) + scaling * sum;
  }
  if (base === undefined) return;
  const { offsets, indices, values } = table;
  const row = products.rows[example] ?? 0;
  const from = offsets[row] ?? 0;
  const to = offsets[row + 1] ?? 0;
  for (let label = 0; label < labels; label += 1) {
    const start = label * dIn;
    let logit = logits[label] ?? 0;
    for (let i = from; i < to; i += 1) logit += (base[start + (indices[i] ?? 0)] ?? 0) * (values[i] ?? 0);
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

/** Gradients in the shapes of the weights; undefined: not trained. A's are summed in the products. */
export interface LinearGradients {
  readonly isATrained: boolean;
  readonly b: Float32Array | undefined;
  readonly r: Float32Array | undefined;
  readonly bias: Float32Array | undefined;
}

/** Adds one example's gradients, times `weight`; `at` holds what `forward` and `softmaxLoss` left. */
export function backward(
  weights: LinearWeights,
  example: number,
  at: Activations,
  weight: number,
  gradients: LinearGradients,
): void {
  const { rank, labels, scaling, b, r } = weights;
  const { products, mixed, ofMixed, logits } = at;
  const { hidden, ofHidden } = products;
  const { b: ofB, bias: ofBias } = gradients;
  ofMixed.fill(0);
  for (let label = 0; label < labels; label += 1) {
    const g = (logits[label] ?? 0) * weight;
    const scaled = g * scaling;
    const row = label * rank;
    if (ofBias !== undefined) ofBias[label] = (ofBias[label] ?? 0) + g;
    for (let k = 0; k < rank; k += 1) ofMixed[k] = (ofMixed[k] ?? 0) + scaled * (b[row + k] ?? 0);
    if (ofB === undefined) continue;
    for (let k = 0; k < rank; k += 1) ofB[row + k] = (ofB[row + k] ?? 0) + scaled * (mixed[k] ?? 0);
  }
  if (r === undefined) ofHidden.set(ofMixed);
  else {
    ofHidden.fill(0);
    for (let k = 0; k < rank; k += 1) {
      for (let j = 0; j < rank; j += 1) {
        const place = k * rank + j;
        if (gradients.r !== undefined) {
          gradients.r[place] = (gradients.r[place] ?? 0) + (ofMixed[k] ?? 0) * (hidden[j] ?? 0);
        }
        ofHidden[j] = (ofHidden[j] ?? 0) + (ofMixed[k] ?? 0) * (r[place] ?? 0);
      }
    }
  }
  if (gradients.isATrained) products.accumulate(example);
}
