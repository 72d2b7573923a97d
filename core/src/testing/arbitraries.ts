import fc from "fast-check";
import { itemSize } from "../tensor/dtype.js";
import type { DType } from "../tensor/dtype.js";
import { canonicalLayout } from "../tensor/state-dict.js";
import { elementCount } from "../tensor/tensor.js";
import type { StateDict, Tensor, TensorLayout } from "../tensor/tensor.js";

const allDTypes: readonly DType[] = ["F32", "F16", "BF16", "I8", "F64", "I64", "I32", "U8", "BOOL"];

/** Names as models have them, and some that only look like keys of an object or a number. */
export const tensorNameArbitrary: fc.Arbitrary<string> = fc.oneof(
  fc
    .array(fc.constantFrom("layer", "0", "11", "query", "lora_A", "weight", "ü", "名"), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(".")),
  fc.constantFrom("toString", "hasOwnProperty", "0", "-0", "length", "a b", '"', "\\"),
);

export const shapeArbitrary: fc.Arbitrary<number[]> = fc.array(fc.nat(5), { maxLength: 3 });

/** A layout of distinct names in canonical order. */
export function layoutArbitrary(dtypes: readonly DType[] = allDTypes): fc.Arbitrary<TensorLayout> {
  const spec = fc.record({ name: tensorNameArbitrary, dtype: fc.constantFrom(...dtypes), shape: shapeArbitrary });
  return fc.uniqueArray(spec, { selector: ({ name }) => name, maxLength: 8 }).map(canonicalLayout);
}

/** Tensors with arbitrary bytes (NaN and infinities among them), in an arbitrary order of insertion. */
export function stateDictArbitrary(dtypes?: readonly DType[]): fc.Arbitrary<StateDict> {
  const valueOf = ({ name, dtype, shape }: TensorLayout[number]): fc.Arbitrary<[string, Tensor]> => {
    const byteLength = elementCount(shape) * itemSize[dtype];
    return fc
      .uint8Array({ minLength: byteLength, maxLength: byteLength })
      .map((bytes) => [name, { dtype, shape, bytes }]);
  };
  return layoutArbitrary(dtypes)
    .chain((layout) => fc.tuple(...layout.map(valueOf)))
    .chain((entries) => fc.shuffledSubarray(entries, { minLength: entries.length }))
    .map((entries) => new Map(entries));
}

/** Finite float32 tensors of a given layout, of magnitude at most `max`. */
export function valuesArbitrary(layout: TensorLayout, max = 10): fc.Arbitrary<Map<string, Float32Array>> {
  const options = { min: Math.fround(-max), max: Math.fround(max), noNaN: true };
  return fc
    .tuple(
      ...layout.map(({ shape }) => {
        const length = elementCount(shape);
        return fc.float32Array({ ...options, minLength: length, maxLength: length });
      }),
    )
    .map((values) => new Map(layout.map(({ name }, i) => [name, values[i] ?? new Float32Array()])));
}
