import * as tf from "@tensorflow/tfjs";
import { tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** Element by element, shapes broadcast. */
export function add(a: Value, b: Value): Value {
  return tf.add(tensorOf(a), tensorOf(b));
}

export function multiply(a: Value, b: Value): Value {
  return tf.mul(tensorOf(a), tensorOf(b));
}

/** Element by element, without gradients: a / max(b, floor), b broadcast. */
export function divideClamped(a: Value, b: Value, floor: number): Value {
  const divisor = tensorOf(b);
  return tf.div(tensorOf(a), tf.maximum(divisor, tf.fill(divisor.shape, floor)));
}

/** Batched product of matrices over equal leading dimensions. */
export function matmul(a: Value, b: Value, transposeA = false, transposeB = false): Value {
  return tf.matMul(tensorOf(a), tensorOf(b), transposeA, transposeB);
}

export function scale(x: Value, factor: number): Value {
  return tf.mul(tensorOf(x), factor);
}

/** Over all elements, or over one axis. */
export function sum(x: Value, axis?: number): Value {
  return tf.sum(tensorOf(x), axis);
}

/** I32 to F32. */
export function toFloat(x: Value): Value {
  return tf.cast(tensorOf(x), "float32");
}
