import { FedLoraError } from "../errors.js";
import type { Tensor, TensorSpec } from "../tensor/tensor.js";
import { firstNonFinite, fromFloat32, toFloat32 } from "../tensor/values.js";
import type { FloatDType } from "../tensor/values.js";
import type { UpdateCodec } from "./codec.js";

/** A codec that stores each value in a float of its own, rounded to nearest. */
export function floatCodec(name: string, dtype: FloatDType, errorBound: (value: number) => number): UpdateCodec {
  return {
    name,
    errorBound,
    encodedLayout: (spec) => [{ ...spec, dtype }],
    encode: (spec: TensorSpec, values: Float32Array): readonly (readonly [string, Tensor])[] => {
      const tensor = fromFloat32(values, spec.shape, dtype);
      const index = firstNonFinite(tensor);
      if (index !== -1) {
        const message = `tensor "${spec.name}" holds ${values[index] ?? NaN} at index ${index}, which ${name} cannot hold`;
        throw new FedLoraError("update-not-finite", message, { details: { tensor: spec.name, index: String(index) } });
      }
      return [[spec.name, tensor]];
    },
    decode: ({ name: tensor }, read) => toFloat32(read(tensor)),
  };
}
