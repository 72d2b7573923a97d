import * as tf from "@tensorflow/tfjs";
import { pickKernel } from "./kernel-names.js";
import { product } from "./matrix.js";
import { logSoftmax } from "./activation.js";
import { differentiable, hasFused, retain, runFused, size, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** Negative log-likelihood per row: logits [rows, classes], labels [rows] in [0, classes) -> [rows], in nats. */
export function crossEntropy(logits: Value, labels: Value): Value {
  const classes = size(logits, 1);
  const target = retain(labels);
  return differentiable([logits], () => {
    const logProbabilities = logSoftmax(tensorOf(logits));
    return {
      value: tf.neg(pick(logProbabilities, target)),
      saved: [logProbabilities],
      backward: (dy, [saved]) => {
        const range = tf.reshape(tf.range(0, classes, 1, "int32"), [1, classes]);
        const hot = tf.cast(tf.equal(tf.reshape(target, [-1, 1]), range), "float32");
        return [tf.mul(tf.sub(tf.exp(saved), hot), tf.reshape(dy, [-1, 1]))];
      },
    };
  });
}

/**
 * Cross-entropy of a language model's head without its logits in memory: hidden [rows, d], weight [vocabulary, d]
 * (frozen), labels [rows] -> [rows]. Rows pass in chunks; each chunk's gradient with respect to `hidden` is taken while
 * its logits are there, since d loss / d hidden = p W - W[label] (after Hsu et al. 2024, Liger Kernel).
 * `needsGradient: false` leaves that part out.
 */
export function headCrossEntropy(
  hidden: Value,
  weight: Value,
  labels: Value,
  options: { readonly chunkRows: number; readonly needsGradient: boolean },
): Value {
  const rows = size(hidden, 0);
  const [w, target] = [tensorOf(weight), retain(labels)];
  return differentiable<readonly tf.Tensor[]>([hidden], () => {
    const losses: tf.Tensor[] = [];
    const gradients: tf.Tensor[] = [];
    for (let start = 0; start < rows; start += options.chunkRows) {
      const count = Math.min(options.chunkRows, rows - start);
      const x = tf.slice(tensorOf(hidden), [start, 0], [count, -1]);
      const chunkLabels = tf.slice(target, [start], [count]);
      const logProbabilities = logSoftmax(product(x, w, { transposeB: true }));
      losses.push(tf.neg(pick(logProbabilities, chunkLabels)));
      if (options.needsGradient) {
        gradients.push(tf.sub(product(tf.exp(logProbabilities), w), tf.gather(w, chunkLabels)));
      }
    }
    return {
      value: tf.concat(losses),
      saved: options.needsGradient ? [tf.concat(gradients)] : [],
      backward: (dy, [saved]) => {
        if (saved === undefined) throw new Error("headCrossEntropy was built without its gradient");
        return [tf.mul(saved, tf.reshape(dy, [-1, 1]))];
      },
    };
  });
}

/** table[row, labels[row]] for every row. */
function pick(table: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  if (hasFused(pickKernel)) {
    const [picked] = runFused(pickKernel, { table, labels }, {});
    if (picked !== undefined) return picked;
  }
  const rows = tf.range(0, size(table, 0), 1, "int32");
  return tf.gatherND(table, tf.stack([rows, tf.cast(labels, "int32")], 1));
}
