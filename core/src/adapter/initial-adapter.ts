import { RandomStream, deriveKey, randomKey } from "../math/random.js";
import { toStateDict } from "../tensor/state-dict.js";
import type { StateDict, Tensor } from "../tensor/tensor.js";
import { fromFloat32 } from "../tensor/values.js";
import { headKeys, loraKeys } from "./lora-config.js";
import type { ResolvedAdapter } from "./lora-config.js";

/** Standard deviation of a fresh head, `initializer_range` of the Hugging Face configs. */
const headStd = 0.02;

/**
 * The adapter of round 0, as PEFT and Hugging Face start one: A Kaiming-uniform with a = sqrt(5), which is uniform in
 * +-1 / sqrt(dIn); B zero, so that the adapted model begins as the base model; head weights normal with a standard
 * deviation of 0.02, head biases zero.
 *
 * Every tensor has a random stream of its own, derived from the seed and the tensor's name: adding a module leaves the
 * values of the others as they are.
 *
 * @param seed integer from 0 to 2^32 - 1
 * @returns F32 tensors of exactly `adapterLayout`
 */
export function initialAdapter({ modules, heads }: ResolvedAdapter, seed: number): StateDict {
  const stream = (tensor: string): RandomStream =>
    new RandomStream(deriveKey(randomKey(seed), "initial-adapter", tensor));
  const zeros = (...shape: number[]): Tensor => fromFloat32(new Float32Array(shape.reduce((p, n) => p * n, 1)), shape);
  const entries: [string, Tensor][] = [];
  for (const { name, rank, dIn, dOut } of modules) {
    const { a, b } = loraKeys(name);
    const bound = 1 / Math.sqrt(dIn);
    entries.push([a, fromFloat32(stream(a).uniforms(rank * dIn, -bound, bound), [rank, dIn])], [b, zeros(dOut, rank)]);
  }
  for (const { name, dIn, dOut, bias } of heads) {
    const keys = headKeys(name);
    entries.push([keys.weight, fromFloat32(stream(keys.weight).normals(dOut * dIn, headStd), [dOut, dIn])]);
    if (bias) entries.push([keys.bias, zeros(dOut)]);
  }
  return toStateDict(entries);
}
