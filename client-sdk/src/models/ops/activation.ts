import * as tf from "@tensorflow/tfjs";
import { geluKernel, logSoftmaxKernel } from "./kernel-names.js";
import { differentiable, hasFused, runFused, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** Exact: x times the normal distribution function (erf). */
export function gelu(x: Value): Value {
  return differentiable([x], () => {
    const input = tensorOf(x);
    const value = fusedGelu(input, "none") ?? tf.mul(input, cumulative(tf.mul(input, Math.SQRT1_2)));
    return {
      value,
      saved: [input],
      // d/dx = cdf(x) + x pdf(x), with s = x / sqrt 2: pdf(x) x = s exp(-s^2) / sqrt pi.
      backward: (dy, [saved]) => {
        const s = tf.mul(saved, Math.SQRT1_2);
        // A quotient spares the negation; where the exponential overflows it is 0, as it should be.
        const bell = tf.mul(tf.div(s, tf.exp(tf.square(s))), 1 / Math.sqrt(Math.PI));
        return [tf.mul(dy, tf.add(cumulative(s), bell))];
      },
    };
  });
}

/** (1 + erf s) / 2 */
function cumulative(s: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(tf.erf(s), 0.5), 0.5);
}

/** The tanh approximation: x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
export function geluTanh(x: Value): Value {
  const c = Math.sqrt(2 / Math.PI);
  const inner = (input: tf.Tensor): tf.Tensor =>
    tf.tanh(tf.mul(input, tf.add(tf.mul(tf.square(input), c * 0.044715), c)));
  return differentiable([x], () => {
    const input = tensorOf(x);
    const value = fusedGelu(input, "tanh") ?? tf.mul(tf.mul(input, 0.5), tf.add(inner(input), 1));
    return {
      value,
      saved: [input],
      backward: (dy, [saved]) => {
        const t = inner(saved);
        const slope = tf.add(tf.mul(tf.square(saved), c * 3 * 0.044715), c);
        const bend = tf.mul(tf.mul(saved, slope), tf.sub(1, tf.square(t)));
        return [tf.mul(tf.mul(dy, 0.5), tf.add(tf.add(t, 1), bend))];
      },
    };
  });
}

function fusedGelu(x: tf.Tensor, approximate: "none" | "tanh"): tf.Tensor | undefined {
  return hasFused(geluKernel) ? runFused(geluKernel, { x }, { approximate })[0] : undefined;
}

/** x sigmoid(x) */
export function silu(x: Value): Value {
  return differentiable([x], () => {
    const input = tensorOf(x);
    const gate = tf.sigmoid(input);
    return {
      value: tf.mul(input, gate),
      saved: [input, gate],
      backward: (dy, [savedInput, savedGate]) => {
        const bend = tf.mul(tf.mul(savedInput, savedGate), tf.sub(1, savedGate));
        return [tf.mul(dy, tf.add(savedGate, bend))];
      },
    };
  });
}

export function tanh(x: Value): Value {
  return differentiable([x], () => {
    const value = tf.tanh(tensorOf(x));
    return {
      value,
      saved: [value],
      backward: (dy, [saved]) => [tf.mul(dy, tf.sub(1, tf.square(saved)))],
    };
  });
}

/** Over the last axis. */
export function softmax(x: Value): Value {
  return differentiable([x], () => {
    const value = tf.softmax(tensorOf(x));
    return {
      value,
      saved: [value],
      backward: (dy, [saved]) => {
        const mean = tf.sum(tf.mul(dy, saved), -1, true);
        return [tf.mul(saved, tf.sub(dy, mean))];
      },
    };
  });
}

/** Over the last axis, without a gradient: the losses bring their own. */
export function logSoftmax(x: tf.Tensor): tf.Tensor {
  const fused = hasFused(logSoftmaxKernel) ? runFused(logSoftmaxKernel, { x }, {})[0] : undefined;
  return fused ?? tf.logSoftmax(x);
}
