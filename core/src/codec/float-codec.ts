import { FedLoraError } from "../errors.js";
import { toStateDict } from "../tensor/state-dict.js";
import { elementCount } from "../tensor/tensor.js";
import type { TensorLayout } from "../tensor/tensor.js";
import { firstNonFinite, fromFloat32, toFloat32 } from "../tensor/values.js";
import type { FloatDType } from "../tensor/values.js";
import type { UpdateCodec, UpdateDecoder } from "./codec.js";
import { openedAtOnce } from "./opening.js";
import { Scratch } from "./scratch.js";
import { unheld } from "./unheld.js";

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
          if (index !== -1) throw unheld(name, tensor, values, index);
          return [tensor, encoded];
        }),
      ),
    decoder: (layout) => floatDecoder(layout, dtype),
  };
}

function floatDecoder(layout: TensorLayout, dtype: FloatDType): UpdateDecoder {
  const shapes = new Map(layout.map(({ name, shape }) => [name, { shape, count: elementCount(shape) }]));
  const scratch = new Scratch();
  return {
    sources: (name) => [name],
    open: (read) =>
      openedAtOnce((name) => {
        const known = shapes.get(name);
        if (known === undefined) throw new FedLoraError("tensor-invalid", `tensor "${name}" is not of the layout`);
        const { shape, count } = known;
        const bytes = read(name, 0, count);
        return toFloat32({ dtype, shape, bytes }, dtype === "F32" ? undefined : scratch.take(count));
      }),
  };
}
