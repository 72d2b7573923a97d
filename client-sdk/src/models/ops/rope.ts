import * as tf from "@tensorflow/tfjs";
import { product } from "./matrix.js";
import { differentiable, retain, size, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** `half-split` pairs element i with i + headDim / 2 (Hugging Face); `interleaved` pairs 2 i with 2 i + 1 (llama2.c). */
export type RopeLayout = "half-split" | "interleaved";

export interface RopeTables {
  /** [T, headDim] */
  readonly cos: Value;
  readonly sin: Value;
  /** [headDim, headDim]: x times it is the pairs turned by 90 degrees. */
  readonly quarterTurn: Value;
}

/** Rotary position embedding (Su et al. 2021): angle of pair i at position t is t * theta^(-2 i / headDim). */
export function ropeTables(length: number, headDim: number, theta: number, layout: RopeLayout): RopeTables {
  const half = headDim / 2;
  const pairOf = (index: number): number => (layout === "half-split" ? index % half : Math.floor(index / 2));
  const frequencies = Array.from({ length: headDim }, (_, index) => theta ** ((-2 * pairOf(index)) / headDim));
  const turn = new Float32Array(headDim * headDim);
  for (let pair = 0; pair < half; pair++) {
    const [first, second] = layout === "half-split" ? [pair, pair + half] : [2 * pair, 2 * pair + 1];
    turn[second * headDim + first] = -1;
    turn[first * headDim + second] = 1;
  }
  // The tables are computed in the graph from two vectors, so that a long context does not bake megabytes.
  const positions = Array.from({ length }, (_, position) => position);
  const angles = tf.mul(tf.tensor2d(positions, [length, 1], "float32"), tf.tensor2d(frequencies, [1, headDim]));
  return {
    cos: retain(tf.cos(angles)),
    sin: retain(tf.sin(angles)),
    quarterTurn: retain(tf.tensor2d(turn, [headDim, headDim])),
  };
}

/** Rotates x [B, heads, T, headDim] by its positions. */
export function rope(x: Value, tables: RopeTables): Value {
  const headDim = size(x, -1);
  const [cos, sin, turn] = [tensorOf(tables.cos), tensorOf(tables.sin), tensorOf(tables.quarterTurn)];
  const turned = (y: tf.Tensor, back: boolean): tf.Tensor =>
    tf.reshape(product(tf.reshape(y, [-1, headDim]), turn, { transposeB: back }), y.shape);
  return differentiable([x], () => {
    const input = tensorOf(x);
    return {
      value: tf.add(tf.mul(input, cos), tf.mul(turned(input, false), sin)),
      saved: [],
      backward: (dy) => [tf.add(tf.mul(dy, cos), turned(tf.mul(dy, sin), true))],
    };
  });
}
