import { fromFloat32, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import { tensorOf } from "./method-parts.js";
import { deltaOf } from "./robust-samples.js";
import type { Sample } from "./robust-samples.js";

/** from + delta in float32; where the change is 0, bit by bit what it was, the sign of a zero too. */
export function moved(from: Float32Array, deltas: ArrayLike<number>): Float32Array {
  return from.map((value, i) => ((deltas[i] ?? 0) === 0 ? value : value + (deltas[i] ?? 0)));
}

/**
 * The tensors that all the samples' models, and the global one where it counts, have in common, bit by bit: what any
 * sensible rule makes of them, without turning the factors. Undefined where they differ, or where there are none.
 */
export function singleModel(
  specs: readonly TensorSpec[],
  samples: readonly Sample[],
  global: StateDict,
  countsGlobal: boolean,
): StateDict | undefined {
  const tensors: [string, Tensor][] = [];
  for (const { name, shape } of specs) {
    const from = toFloat32(tensorOf(global, name));
    const models = samples.map((sample) => moved(from, deltaOf(sample, name)));
    const all: readonly Float32Array[] = countsGlobal ? [from, ...models] : models;
    const [first, ...others] = all;
    if (first === undefined || others.some((other) => other.some((value, i) => value !== first[i]))) return undefined;
    tensors.push([name, fromFloat32(first.slice(), shape)]);
  }
  return new Map(tensors);
}
