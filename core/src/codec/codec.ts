import { FedLoraError } from "../errors.js";
import type { StateDict, Tensor, TensorLayout } from "../tensor/tensor.js";
import { floatCodec } from "./float-codec.js";

/** How the float32 values of an update become the tensors that travel. All of an update is coded together. */
export interface UpdateCodec {
  /** As in a run spec and a plan, parameters included: `f32`, `int8:64`, `topk:0.1`. */
  readonly name: string;
  /** The name without parameters, by which methods and clients declare what they take. */
  readonly family: string;
  /** Whether decoding gives other values than went in, beyond rounding: error feedback is of use then. */
  readonly isLossy: boolean;
  /** The tensors that values of this layout travel as; follows from the layout alone, in canonical order. */
  encodedLayout(layout: TensorLayout): TensorLayout;
  /**
   * @param valuesOf as many float32 values as the tensor's shape has
   * @returns tensors of exactly `encodedLayout(layout)`
   * @throws FedLoraError `update-not-finite` for a value that the codec cannot hold, naming tensor and index
   */
  encode(layout: TensorLayout, valuesOf: (name: string) => Float32Array): StateDict;
  /**
   * Opens an encoded update: the function returned gives a tensor's values, which may share memory with what `read` gave.
   *
   * @param read gives a tensor of the encoded layout; its memory may be reused at the next call
   * @throws FedLoraError `update-not-finite`, `tensor-invalid` for encoded tensors that nothing encodes to
   */
  open(layout: TensorLayout, read: (name: string) => Tensor): (name: string) => Float32Array;
  /** Largest |decoded - value| over these values, coded together as one tensor, all within the codec's range. */
  errorBound(values: Float32Array): number;
}

const exact = floatCodec("f32", "F32", () => 0);
/** 11 significant bits; refuses |x| >= 65520. */
const half = floatCodec("f16", "F16", (value) => Math.max(Math.abs(value) * 2 ** -11, 2 ** -25));
/** 8 significant bits and the range of float32; refuses what rounds beyond the largest value, |x| >= 3.396e38. */
const brain = floatCodec("bf16", "BF16", (value) => Math.max(Math.abs(value) * 2 ** -8, 2 ** -134));

/** Makes a codec from the text after the colon of its name; undefined: not a codec's parameter. */
type CodecFamily = (parameter: string | undefined) => UpdateCodec | undefined;

const plain =
  (codec: UpdateCodec): CodecFamily =>
  (parameter) =>
    parameter === undefined ? codec : undefined;

/** Every family of codecs of this build by name; what each does to values stands in its own file. */
export const codecFamilies: ReadonlyMap<string, CodecFamily> = new Map([
  ["f32", plain(exact)],
  ["f16", plain(half)],
  ["bf16", plain(brain)],
]);

/** @throws FedLoraError `spec-invalid` naming those that there are */
export function codecOf(name: string): UpdateCodec {
  const [family = "", parameter] = name.split(":", 2);
  const codec = codecFamilies.get(family)?.(parameter);
  if (codec !== undefined) return codec;
  throw new FedLoraError(
    "spec-invalid",
    `codec "${name}" is unknown, known are ${[...codecFamilies.keys()].join(", ")}`,
  );
}
