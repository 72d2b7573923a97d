import * as tf from "@tensorflow/tfjs";
import { add, multiply } from "./arithmetic.js";
import { frozenLinear, lowRankUpdate } from "./linear.js";
import type { LowRankUpdate } from "./linear.js";
import { product } from "./matrix.js";
import { reshape } from "./shape.js";
import { differentiable, retain, size, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** A value and whether it gets a gradient. A trained one may carry a leading batch dimension: a value per example. */
export interface Operand {
  readonly value: Value;
  readonly trained: boolean;
}

/**
 * What an adapter adds to a frozen layer. Besides A [rank, dIn] and B [dOut, rank]: `r` [rank, rank] of a latent adapter,
 * `scaleRank` [rank] and `scaleOut` [dOut] of VeRA.
 */
export interface AdapterUpdate extends Pick<LowRankUpdate, "scaling" | "mask"> {
  readonly a: Operand;
  readonly b: Operand;
  readonly r?: Operand;
  readonly scaleRank?: Operand;
  readonly scaleOut?: Operand;
}

/**
 * base + scaling * diag(scaleOut) B diag(scaleRank) R A (x * mask), for rows of x [rows, dIn]; base and result
 * [rows, dOut]. Differentiable in base, x and the trained operands, whose gradients alone are computed.
 */
export function adapterUpdate(base: Value, x: Value, update: AdapterUpdate): Value {
  const { a, b, r, scaleRank, scaleOut, scaling, mask } = update;
  if (a.trained === b.trained && r === undefined && scaleRank === undefined && scaleOut === undefined) {
    return lowRankUpdate(base, x, { a: a.value, b: b.value, scaling, mask });
  }
  const input = mask === undefined ? x : multiply(x, retain(tf.reshape(tensorOf(mask), [...x.shape])));
  let inner = multiply(project(input, a), scaling);
  if (r !== undefined) inner = project(inner, r);
  if (scaleRank !== undefined) inner = scaleColumns(inner, scaleRank);
  const up = project(inner, b);
  return add(base, scaleOut === undefined ? up : scaleColumns(up, scaleOut));
}

/** x W^T for x [rows, k], W [m, k]; W [B, m, k] applies to the rows of each example, which are split evenly in order. */
export function project(x: Value, { value, trained }: Operand): Value {
  if (!trained) return frozenLinear(x, value);
  const batch = value.shape.length === 3 ? [size(value, 0), -1] : [-1];
  const rows = size(x, 0);
  return differentiable([x, value], () => {
    const input = tf.reshape(tensorOf(x), [...batch, size(x, 1)]);
    const weight = tensorOf(value);
    return {
      value: tf.reshape(product(input, weight, { transposeB: true }), [rows, size(value, -2)]),
      saved: [input, weight],
      backward: (dy, [savedInput, savedWeight]) => {
        const dyRows = tf.reshape(dy, [...batch, size(value, -2)]);
        return [
          tf.reshape(product(dyRows, savedWeight), [...x.shape]),
          product(dyRows, savedInput, { transposeA: true }),
        ];
      },
    };
  });
}

/** Each column j of x [rows, k] times v[j]; v [k], or [B, k] with a vector per example. */
function scaleColumns(x: Value, { value }: Operand): Value {
  if (value.shape.length === 1) return multiply(x, value);
  const [batch, columns] = [size(value, 0), size(value, 1)];
  const grouped = reshape(x, [batch, size(x, 0) / batch, columns]);
  return reshape(multiply(grouped, reshape(value, [batch, 1, columns])), x.shape);
}
