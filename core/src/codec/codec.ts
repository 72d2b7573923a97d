import { FedLoraError } from "../errors.js";
import type { Tensor, TensorLayout, TensorSpec } from "../tensor/tensor.js";
import { floatCodec } from "./float-codec.js";

/** How the float32 values of an update become the tensors that travel. */
export interface UpdateCodec {
  /** As in a run spec and a plan. */
  readonly name: string;
  /** The tensors that one tensor of values travels as; most codecs have one, a codec with scales has more. */
  encodedLayout(spec: TensorSpec): TensorLayout;
  /**
   * @param values as many as the shape has
   * @throws FedLoraError `update-not-finite` for a value that the codec cannot hold, naming tensor and index
   */
  encode(spec: TensorSpec, values: Float32Array): readonly (readonly [string, Tensor])[];
  /** The values again; the array may share the tensor's memory. `read` gives a tensor of the encoded layout. */
  decode(spec: TensorSpec, read: (name: string) => Tensor): Float32Array;
  /** Largest |decoded - value| for a value that the codec can hold. */
  errorBound(value: number): number;
}

/**
 * Every codec of this build by name.
 *
 * - `f32` is exact.
 * - `f16` keeps 11 significant bits: an error of at most |x| 2^-11, or 2^-25 below 2^-14; refuses |x| >= 65520.
 * - `bf16` keeps 8 significant bits and the range of float32: at most |x| 2^-8, or 2^-134 below 2^-126; refuses what
 *   rounds beyond the largest value, |x| >= 3.396e38.
 */
export const codecs: ReadonlyMap<string, UpdateCodec> = new Map(
  [
    floatCodec("f32", "F32", () => 0),
    floatCodec("f16", "F16", (value) => Math.max(Math.abs(value) * 2 ** -11, 2 ** -25)),
    floatCodec("bf16", "BF16", (value) => Math.max(Math.abs(value) * 2 ** -8, 2 ** -134)),
  ].map((codec) => [codec.name, codec]),
);

/** @throws FedLoraError `spec-invalid` naming those that there are */
export function codecOf(name: string): UpdateCodec {
  const codec = codecs.get(name);
  if (codec !== undefined) return codec;
  throw new FedLoraError("spec-invalid", `codec "${name}" is unknown, known are ${[...codecs.keys()].join(", ")}`);
}
