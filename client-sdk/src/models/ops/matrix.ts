import * as tf from "@tensorflow/tfjs";
import { gemmKernel } from "./kernel-names.js";
import { hasFused, runFused } from "./value.js";

interface Transposes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** Swaps the last two axes. */
export function swapLast(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}

/** Batched matrix product over equal leading dimensions. */
export function product(a: tf.Tensor, b: tf.Tensor, options: Transposes = {}): tf.Tensor {
  const { transposeA = false, transposeB = false } = options;
  // The wasm backend's product is twelve times slower when it is asked to transpose an operand itself.
  if (tf.getBackend() === "wasm") {
    return tf.matMul(transposeA ? swapLast(a) : a, transposeB ? swapLast(b) : b);
  }
  return tf.matMul(a, b, transposeA, transposeB);
}

/** `a b + c` of matrices; `c` broadcasts over rows. */
export function gemm(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor | undefined, options: Transposes = {}): tf.Tensor {
  if (c === undefined) return product(a, b, options);
  if (hasFused(gemmKernel)) {
    const { transposeA = false, transposeB = false } = options;
    const [result] = runFused(gemmKernel, { a, b, c }, { transposeA, transposeB });
    if (result !== undefined) return result;
  }
  return tf.add(product(a, b, options), c);
}
