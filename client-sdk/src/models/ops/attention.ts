import * as tf from "@tensorflow/tfjs";
import { product, swapLast } from "./matrix.js";
import { differentiable, retain, size, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** Added to the score of a pair that may not attend: its probability is exactly 0 in 32-bit floats. */
const forbidden = 1e9;

/**
 * What attention adds to its scores: 0 for an allowed pair, a large negative number for padding keys and, if `causal`,
 * for later keys. attentionMask [B, T] (1 = token) -> [B, 1, 1, T], or [B, 1, T, T] if causal.
 */
export function additiveMask(attentionMask: Value, causal: boolean): Value {
  const [batch, length] = [size(attentionMask, 0), size(attentionMask, 1)];
  const penalty = (allowed: tf.Tensor): tf.Tensor => tf.mul(tf.sub(tf.cast(allowed, "float32"), 1), forbidden);
  const padding = tf.reshape(penalty(tensorOf(attentionMask)), [batch, 1, 1, length]);
  if (!causal) return retain(padding);
  // Two ranges compared in the graph: a baked square of ones would dominate the file of a long context.
  const positions = tf.range(0, length, 1, "int32");
  const order = tf.lessEqual(tf.reshape(positions, [1, length]), tf.reshape(positions, [length, 1]));
  return retain(tf.add(padding, tf.reshape(penalty(order), [1, 1, length, length])));
}

/** [B * T, heads * headDim] -> [B, heads, T, headDim] */
export function splitHeads(x: Value, batch: number, heads: number): Value {
  const [length, headDim] = [size(x, 0) / batch, size(x, 1) / heads];
  return tf.transpose(tf.reshape(tensorOf(x), [batch, length, heads, headDim]), [0, 2, 1, 3]);
}

/** [B, heads, T, headDim] -> [B * T, heads * headDim] */
export function mergeHeads(x: Value): Value {
  const [batch, heads, length, headDim] = [size(x, 0), size(x, 1), size(x, 2), size(x, 3)];
  return tf.reshape(tf.transpose(tensorOf(x), [0, 2, 1, 3]), [batch * length, heads * headDim]);
}

/**
 * softmax(q k^T / sqrt(headDim) + mask) v. q [B, heads, Q, headDim]; k and v [B, kvHeads, T, headDim], where kvHeads
 * divides heads (grouped-query attention, Ainslie et al. 2023): a group's query heads are stacked as more rows, so that
 * keys and values are never repeated. Q is T, or fewer positions where only they are asked for. mask: see `additiveMask`,
 * of Q rows or one for all. Result [B, heads, Q, headDim].
 */
export function attention(q: Value, k: Value, v: Value, mask: Value): Value {
  const [batch, heads, queryLength, headDim] = [size(q, 0), size(q, 1), size(q, 2), size(q, 3)];
  const [kvHeads, keyLength] = [size(k, 1), size(k, 2)];
  const rows = (heads / kvHeads) * queryLength;
  const grouped = (x: tf.Tensor): tf.Tensor => tf.reshape(x, [batch, kvHeads, rows, x.shape.at(-1) ?? 0]);
  const scale = 1 / Math.sqrt(headDim);
  return differentiable([q, k, v], () => {
    const queries = grouped(tf.mul(tensorOf(q), scale));
    const [keys, values] = [tensorOf(k), tensorOf(v)];
    const scores = tf.reshape(product(queries, keys, { transposeB: true }), [batch, heads, queryLength, keyLength]);
    const weights = grouped(tf.softmax(tf.add(scores, tensorOf(mask))));
    const output = product(weights, values);
    return {
      value: tf.reshape(output, [...q.shape]),
      saved: [queries, keys, values, weights, output],
      backward: (dy, [savedQueries, savedKeys, savedValues, savedWeights, savedOutput]) => {
        const dOutput = grouped(dy);
        // Row sums of dWeights * weights, taken on the smaller side (Dao et al. 2022, eq. 4).
        const mean = tf.sum(tf.mul(dOutput, savedOutput), -1, true);
        const dWeights = product(dOutput, savedValues, { transposeB: true });
        const dScores = tf.mul(savedWeights, tf.sub(dWeights, mean));
        return [
          tf.reshape(tf.mul(product(dScores, savedKeys), scale), [...q.shape]),
          // As transposes of products with a wide result: those 32 or 64 wide take more than twice as long.
          swapLast(product(savedQueries, dScores, { transposeA: true })),
          swapLast(product(dOutput, savedWeights, { transposeA: true })),
        ];
      },
    };
  });
}
