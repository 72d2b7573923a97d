import * as tf from "@tensorflow/tfjs";
import { differentiable, tensorOf } from "./value.js";
import type { Value } from "./value.js";

export function reshape(x: Value, shape: readonly number[]): Value {
  return tf.reshape(tensorOf(x), [...shape]);
}

/** Axis i of the result is axis axes[i] of x. */
export function transpose(x: Value, axes: readonly number[]): Value {
  return tf.transpose(tensorOf(x), [...axes]);
}

/** A box of x: `sizes` of -1 reach to the end. */
export function slice(x: Value, starts: readonly number[], sizes: readonly number[]): Value {
  return tf.slice(tensorOf(x), [...starts], [...sizes]);
}

export function concat(parts: readonly Value[], axis: number): Value {
  return tf.concat(parts.map(tensorOf), axis);
}

/** Rows of a frozen table: table [n, d], indices of any shape -> [...indices, d]. Neither gets a gradient. */
export function lookup(table: Value, indices: Value): Value {
  return tf.gather(tensorOf(table), tensorOf(indices).toInt());
}

/** One row per example: x [B, T, d], position [B] -> [B, d]. */
export function rowsAt(x: Value, position: Value): Value {
  const [batch = 0, length = 0, d = 0] = x.shape;
  const range = tf.reshape(tf.range(0, length, 1, "int32"), [1, length]);
  const hot = tf.cast(tf.equal(tf.reshape(tensorOf(position), [batch, 1]), range), "float32");
  return tf.reshape(tf.matMul(tf.reshape(hot, [batch, 1, length]), tensorOf(x)), [batch, d]);
}

/** The value without its gradient. */
export function detach(x: Value): Value {
  return differentiable([x], () => ({
    value: tf.clone(tensorOf(x)),
    saved: [],
    backward: (dy) => [tf.zerosLike(dy)],
  }));
}
