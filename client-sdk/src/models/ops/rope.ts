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

/** Positions whose angles are constants; later ones add the angle of the block that they lie in. */
const blockLength = 64;

/** Rotary position embedding (Su et al. 2021): angle of pair i at position t is t * theta^(-2 i / headDim). */
export function ropeTables(length: number, headDim: number, theta: number, layout: RopeLayout): RopeTables {
  const half = headDim / 2;
  const pairOf = (index: number): number => (layout === "half-split" ? index % half : Math.floor(index / 2));
  // Rounded to float32, as PyTorch holds them.
  const frequencies = Array.from({ length: headDim }, (_, index) =>
    Math.fround(theta ** ((-2 * pairOf(index)) / headDim)),
  );
  const turn = new Float32Array(headDim * headDim);
  for (let pair = 0; pair < half; pair++) {
    const [first, second] = layout === "half-split" ? [pair, pair + half] : [2 * pair, 2 * pair + 1];
    turn[second * headDim + first] = -1;
    turn[first * headDim + second] = 1;
  }
  return { ...anglesTables(length, frequencies), quarterTurn: retain(tf.tensor2d(turn, [headDim, headDim])) };
}

/**
 * Cosine and sine of t * frequency, [length, frequencies]. They are constants and not computed in the graph: a GPU's own
 * functions are right to 2^-11 only. So that a long context does not bake megabytes, positions beyond a block of 64 come
 * from the addition theorems: two small tables, and one more rounding.
 */
function anglesTables(length: number, frequencies: readonly number[]): Pick<RopeTables, "cos" | "sin"> {
  const table = (f: (angle: number) => number, count: number, step: number, shape: readonly number[]): tf.Tensor =>
    tf.tensor(
      Float32Array.from({ length: count * frequencies.length }, (_, at) => {
        const position = Math.floor(at / frequencies.length) * step;
        return f(position * (frequencies[at % frequencies.length] ?? 0));
      }),
      [...shape],
    );
  const d = frequencies.length;
  if (length <= blockLength) {
    const shape = [length, d];
    return { cos: retain(table(Math.cos, length, 1, shape)), sin: retain(table(Math.sin, length, 1, shape)) };
  }
  const blocks = Math.ceil(length / blockLength);
  const within = (f: (angle: number) => number): tf.Tensor => table(f, blockLength, 1, [1, blockLength, d]);
  const before = (f: (angle: number) => number): tf.Tensor => table(f, blocks, blockLength, [blocks, 1, d]);
  const [cosA, sinA, cosB, sinB] = [before(Math.cos), before(Math.sin), within(Math.cos), within(Math.sin)];
  const rows = (x: tf.Tensor): Value => retain(tf.slice(tf.reshape(x, [blocks * blockLength, d]), [0, 0], [length, d]));
  return {
    cos: rows(tf.sub(tf.mul(cosA, cosB), tf.mul(sinA, sinB))),
    sin: rows(tf.add(tf.mul(sinA, cosB), tf.mul(cosA, sinB))),
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
