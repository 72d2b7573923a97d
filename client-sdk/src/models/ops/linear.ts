import * as tf from "@tensorflow/tfjs";
import { gemm, product, swapLast } from "./matrix.js";
import { differentiable, retain, size, tensorOf } from "./value.js";
import type { Value } from "./value.js";

/** A frozen correction of a weight: the layer counts as `weight + b a`. */
export interface LowRankPair {
  /** [rank, dIn] */
  readonly a: Value;
  /** [dOut, rank] */
  readonly b: Value;
}

/**
 * Linear layer whose weight gets no gradient: x [rows, dIn], weight [dOut, dIn], bias [dOut] -> [rows, dOut].
 * `delta` adds a frozen low-rank correction of the weight.
 */
export function frozenLinear(x: Value, weight: Value, bias?: Value, delta?: LowRankPair): Value {
  const [input, w] = [tensorOf(x), tensorOf(weight)];
  const c = bias === undefined ? undefined : tensorOf(bias);
  const [a, b] = delta === undefined ? [] : [tensorOf(delta.a), tensorOf(delta.b)];
  return differentiable([x], () => {
    const base = gemm(input, w, c, { transposeB: true });
    const value =
      a === undefined || b === undefined
        ? base
        : gemm(product(input, a, { transposeB: true }), b, base, { transposeB: true });
    return {
      value,
      saved: [],
      backward: (dy) => {
        const dx = product(dy, w);
        return [a === undefined || b === undefined ? dx : gemm(product(dy, b), a, dx)];
      },
    };
  });
}

/**
 * Linear layer trained in full: x [rows, dIn], weight [dOut, dIn], bias [dOut] -> [rows, dOut].
 * Per-example parameters carry a leading batch dimension ([B, dOut, dIn], [B, dOut]); then rows = B.
 */
export function linear(x: Value, weight: Value, bias: Value): Value {
  return weight.shape.length === 3 ? linearPerExample(x, weight, bias) : linearShared(x, weight, bias);
}

function linearShared(x: Value, weight: Value, bias: Value): Value {
  return differentiable([x, weight, bias], () => {
    const [input, w] = [tensorOf(x), tensorOf(weight)];
    return {
      value: gemm(input, w, tensorOf(bias), { transposeB: true }),
      saved: [input, w],
      backward: (dy, [savedInput, savedWeight]) => [
        product(dy, savedWeight),
        product(dy, savedInput, { transposeA: true }),
        tf.sum(dy, 0),
      ],
    };
  });
}

function linearPerExample(x: Value, weight: Value, bias: Value): Value {
  const [batch, dOut, dIn] = [size(weight, 0), size(weight, 1), size(weight, 2)];
  return differentiable([x, weight, bias], () => {
    const rows = tf.reshape(tensorOf(x), [batch, 1, dIn]);
    const w = tensorOf(weight);
    const y = tf.reshape(product(rows, w, { transposeB: true }), [batch, dOut]);
    return {
      value: tf.add(y, tensorOf(bias)),
      saved: [rows, w],
      backward: (dy, [savedRows, savedWeight]) => {
        const dyRows = tf.reshape(dy, [batch, 1, dOut]);
        return [
          tf.reshape(product(dyRows, savedWeight), [batch, dIn]),
          product(tf.reshape(dy, [batch, dOut, 1]), savedRows),
          tf.clone(dy),
        ];
      },
    };
  });
}

export interface LowRankUpdate {
  /** [rank, dIn], or [B, rank, dIn] per example. */
  readonly a: Value;
  /** [dOut, rank], or [B, dOut, rank] per example. */
  readonly b: Value;
  /** [] */
  readonly scaling: Value;
  /** Dropout mask over x: 0 or 1 / (1 - p). */
  readonly mask?: Value | undefined;
}

/**
 * LoRA (Hu et al. 2021): base + scaling * (x * mask) A^T B^T, differentiable in base, x, A and B.
 * x [rows, dIn], base and result [rows, dOut]; per-example adapters split the rows evenly, in order, over the batch.
 */
export function lowRankUpdate(base: Value, x: Value, update: LowRankUpdate): Value {
  return update.a.shape.length === 3 ? lowRankPerExample(base, x, update) : lowRankShared(base, x, update);
}

function lowRankShared(base: Value, x: Value, update: LowRankUpdate): Value {
  const scaling = tensorOf(update.scaling);
  const mask = update.mask === undefined ? undefined : retain(tf.reshape(tensorOf(update.mask), [...x.shape]));
  return differentiable([base, x, update.a, update.b], () => {
    const [a, b] = [tensorOf(update.a), tensorOf(update.b)];
    const input = mask === undefined ? tensorOf(x) : tf.mul(tensorOf(x), mask);
    const down = tf.mul(product(input, a, { transposeB: true }), scaling);
    return {
      value: gemm(down, b, tensorOf(base), { transposeB: true }),
      saved: [input, a, b, down],
      backward: (dy, [savedInput, savedA, savedB, savedDown]) => {
        const dDown = tf.mul(product(dy, savedB), scaling);
        const dInput = product(dDown, savedA);
        return [
          tf.clone(dy),
          mask === undefined ? dInput : tf.mul(dInput, mask),
          product(dDown, savedInput, { transposeA: true }),
          // As the transpose of down^T dy: a product with a wide result is several times faster than one 8 wide.
          swapLast(product(savedDown, dy, { transposeA: true })),
        ];
      },
    };
  });
}

function lowRankPerExample(base: Value, x: Value, update: LowRankUpdate): Value {
  const [batch, dIn, dOut] = [size(update.a, 0), size(update.a, 2), size(update.b, 1)];
  const grouped = [batch, size(x, 0) / batch, dIn];
  const scaling = tensorOf(update.scaling);
  const mask = update.mask === undefined ? undefined : retain(tf.reshape(tensorOf(update.mask), grouped));
  return differentiable([base, x, update.a, update.b], () => {
    const [a, b] = [tensorOf(update.a), tensorOf(update.b)];
    const rows = tf.reshape(tensorOf(x), grouped);
    const input = mask === undefined ? rows : tf.mul(rows, mask);
    const down = tf.mul(product(input, a, { transposeB: true }), scaling);
    const up = tf.reshape(product(down, b, { transposeB: true }), [...base.shape]);
    return {
      value: tf.add(tensorOf(base), up),
      saved: [input, a, b, down],
      backward: (dy, [savedInput, savedA, savedB, savedDown]) => {
        const dyRows = tf.reshape(dy, [batch, -1, dOut]);
        const dDown = tf.mul(product(dyRows, savedB), scaling);
        const dInput = product(dDown, savedA);
        return [
          tf.clone(dy),
          tf.reshape(mask === undefined ? dInput : tf.mul(dInput, mask), [...x.shape]),
          product(dDown, savedInput, { transposeA: true }),
          swapLast(product(savedDown, dyRows, { transposeA: true })),
        ];
      },
    };
  });
}
