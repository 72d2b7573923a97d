import * as tf from "@tensorflow/tfjs";
import { layerNormKernel } from "./kernel-names.js";
import { differentiable, hasFused, runFused, size, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** Over the last axis: gamma (x - mean) / sqrt(variance + epsilon) + beta; gamma and beta [d] are frozen. */
export function layerNorm(x: Value, gamma: Value, beta: Value, epsilon: number): Value {
  const [g, b] = [tensorOf(gamma), tensorOf(beta)];
  return differentiable([x], () => {
    const input = tensorOf(x);
    const [value, mean, inverse] = layerNormForward(input, g, b, epsilon);
    return {
      value,
      saved: [input, mean, inverse],
      backward: (dy, [savedInput, savedMean, savedInverse]) => {
        const normal = tf.mul(tf.sub(savedInput, savedMean), savedInverse);
        const dNormal = tf.mul(dy, g);
        const along = tf.mul(normal, tf.mean(tf.mul(dNormal, normal), -1, true));
        const centred = tf.sub(tf.sub(dNormal, along), tf.mean(dNormal, -1, true));
        return [tf.mul(centred, savedInverse)];
      },
    };
  });
}

function layerNormForward(
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  epsilon: number,
): [tf.Tensor, tf.Tensor, tf.Tensor] {
  if (hasFused(layerNormKernel)) {
    const [value, mean, inverse] = runFused(layerNormKernel, { x, gamma, beta }, { epsilon });
    if (value !== undefined && mean !== undefined && inverse !== undefined) return [value, mean, inverse];
  }
  const mean = tf.mean(x, -1, true);
  const centred = tf.sub(x, mean);
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
  return [tf.add(tf.mul(tf.mul(centred, inverse), gamma), beta), mean, inverse];
}

/** Over the last axis: gamma x / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich 2019); gamma [d] is frozen. */
export function rmsNorm(x: Value, gamma: Value, epsilon: number): Value {
  const g = tensorOf(gamma);
  return differentiable([x], () => {
    const input = tensorOf(x);
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(input), -1, true), epsilon));
    return {
      value: tf.mul(tf.mul(input, inverse), g),
      saved: [input, inverse],
      backward: (dy, [savedInput, savedInverse]) => {
        const normal = tf.mul(savedInput, savedInverse);
        const dNormal = tf.mul(dy, g);
        const along = tf.mul(normal, tf.mean(tf.mul(dNormal, normal), -1, true));
        return [tf.mul(tf.sub(dNormal, along), savedInverse)];
      },
    };
  });
}

/** Over the last axis: x / max(|x|, epsilon). */
export function l2Normalize(x: Value, epsilon: number): Value {
  const input = tensorOf(x);
  const d = size(x, -1);
  const norm = tf.sqrt(tf.mul(tf.mean(tf.square(input), -1, true), d));
  return tf.div(input, tf.maximum(norm, tf.fill(norm.shape, epsilon)));
}
