import { FedLoraError } from "../errors.js";
import { canonicalLayout, toStateDict } from "../tensor/state-dict.js";
import { elementCount } from "../tensor/tensor.js";
import type { StateDict, TensorLayout } from "../tensor/tensor.js";
import { fromFloat32 } from "../tensor/values.js";
import type { UpdateCodec } from "./codec.js";
import { chooseCoding, encodeIndices, valuesName } from "./index-coding.js";
import { findLargest, magnitudeBits } from "./largest.js";
import { sparseDecoder } from "./sparse-decoder.js";
import { unheld } from "./unheld.js";

/** Indices are 32 bits with a sign. */
const maxValues = 2 ** 31 - 1;

/**
 * The largest values alone, as in FLASC (Kuo et al. 2024): over all tensors of the update together, flattened in
 * canonical order, the k = max(1, round(density * n)) values of largest magnitude travel, of equal ones those that come
 * first; every other value is decoded as 0. The tensors are `sparse.values` F32 [k] and where the values belong, in the
 * form of fewest bytes, which n and k decide: `sparse.indices`, `sparse.bitmap` or `sparse.gaps` (see `IndexCoding`).
 * A value is off by at most the largest magnitude left out; density 1 is exact.
 *
 * Takes memory for k values and indices beyond one tensor. Asks for every tensor three times.
 *
 * @param parameter the density, 0.000001 to 1 with at most six decimals
 */
export function topkCodec(parameter: string | undefined): UpdateCodec | undefined {
  if (parameter === undefined || !/^(0?\.[0-9]{1,6}|1)$/.test(parameter)) return undefined;
  const density = Number(parameter);
  if (density === 0) return undefined;
  const name = `topk:${parameter}`;
  return {
    name,
    family: "topk",
    isLossy: true,
    errorBound: (values) => largestLeftOut(values, keptOf(values.length, density)),
    encodedLayout: (layout) => {
      const { n, k } = sizesOf(layout, density);
      return canonicalLayout([chooseCoding(n, k).spec, { name: valuesName, dtype: "F32", shape: [k] }]);
    },
    encode: (layout, valuesOf) => encode(canonicalLayout(layout), valuesOf, density, name),
    decoder: (layout) => {
      const { n, k } = sizesOf(layout, density);
      return sparseDecoder(canonicalLayout(layout), n, k);
    },
  };
}

function keptOf(n: number, density: number): number {
  return Math.min(n, Math.max(1, Math.round(density * n)));
}

function sizesOf(layout: TensorLayout, density: number): { n: number; k: number } {
  const taken = layout.find(({ name }) => name.startsWith("sparse."));
  if (taken !== undefined) {
    const message = `tensor "${taken.name}" has a name that codec topk needs for itself, all that begin with "sparse."`;
    throw new FedLoraError("tensor-invalid", message, { details: { tensor: taken.name } });
  }
  const n = layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (n > maxValues) {
    throw new FedLoraError("tensor-invalid", `codec topk codes at most ${maxValues} values together, got ${n}`);
  }
  return { n, k: keptOf(n, density) };
}

function encode(
  layout: TensorLayout,
  valuesOf: (name: string) => Float32Array,
  density: number,
  codec: string,
): StateDict {
  const { n, k } = sizesOf(layout, density);
  const { coding, spec } = chooseCoding(n, k);
  const kept = new Float32Array(k);
  const indices = new Int32Array(k);
  const sweep = (visit: (values: Float32Array, name: string) => void): void => {
    for (const { name } of layout) visit(valuesOf(name), name);
  };
  if (k > 0) {
    const rule = findLargest(k, sweep, (values, name, index) => {
      throw unheld(codec, name, values, index);
    });
    let { ties } = rule;
    let count = 0;
    let flat = 0;
    sweep((values) => {
      const bits = magnitudeBits(values);
      for (let i = 0; i < bits.length; i += 1) {
        const magnitude = (bits[i] ?? 0) & 0x7fffffff;
        if (magnitude < rule.threshold || (magnitude === rule.threshold && ties-- <= 0)) continue;
        kept[count] = values[i] ?? 0;
        indices[count] = flat + i;
        count += 1;
      }
      flat += values.length;
    });
  }
  return toStateDict([
    [valuesName, fromFloat32(kept, [k])],
    [spec.name, { dtype: spec.dtype, shape: spec.shape, bytes: encodeIndices(coding, spec, indices) }],
  ]);
}

function largestLeftOut(values: Float32Array, k: number): number {
  const magnitudes = values.map(Math.abs).sort();
  return magnitudes[values.length - k - 1] ?? 0;
}
