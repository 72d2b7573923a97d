import { FedLoraError } from "../errors.js";
import { toStateDict } from "../tensor/state-dict.js";
import { firstNonFinite, fromFloat32, toFloat32 } from "../tensor/values.js";
import type { FloatDType } from "../tensor/values.js";
import type { UpdateCodec } from "./codec.js";

/** A codec that stores each value in a float of its own, rounded to nearest. */
export function floatCodec(name: string, dtype: FloatDType, errorOf: (value: number) => number): UpdateCodec {
  return {
    name,
    family: name,
    isLossy: false,
    errorBound: (values) => values.reduce((largest, value) => Math.max(largest, errorOf(value)), 0),
    encodedLayout: (layout) => layout.map((spec) => ({ ...spec, dtype })),
    encode: (layout, valuesOf) =>
      toStateDict(
        layout.map(({ name: tensor, shape }) => {
          const values = valuesOf(tensor);
          const encoded = fromFloat32(values, shape, dtype);
          const index = firstNonFinite(encoded);
          if (index === -1) return [tensor, encoded];
          const message = `tensor "${tensor}" holds ${values[index] ?? NaN} at index ${index}, which ${name} cannot hold`;
          throw new FedLoraError("update-not-finite", message, { details: { tensor, index: String(index) } });
        }),
      ),
    open: (_, read) => (tensor) => toFloat32(read(tensor)),
  };
}
