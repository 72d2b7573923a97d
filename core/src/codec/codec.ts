import { FedLoraError } from "../errors.js";
import { itemSize } from "../tensor/dtype.js";
import type { StateDict, TensorLayout } from "../tensor/tensor.js";
import { floatCodec } from "./float-codec.js";
import { int8Codec } from "./int8-codec.js";
import { openNow } from "./opening.js";
import type { Opening, TensorReader } from "./opening.js";
import { topkCodec } from "./topk-codec.js";

/** Elements [start, end) of an encoded tensor as little-endian bytes; their memory may be reused at the next call. */
export type EncodedRead = (name: string, start: number, end: number) => Uint8Array;

/** How the float32 values of an update become the tensors that travel. All of an update is coded together. */
export interface UpdateCodec {
  /** As in a run spec and a plan, parameters included: `f32`, `int8:64`, `topk:0.1`. */
  readonly name: string;
  /** The name without parameters, by which methods and clients declare what they take. */
  readonly family: string;
  /** Whether decoding gives other values than went in, beyond rounding: error feedback is of use then. */
  readonly isLossy: boolean;
  /**
   * The tensors that values of this layout travel as; follows from the layout alone, in canonical order.
   *
   * @throws FedLoraError `tensor-invalid` for a tensor whose name the codec needs for itself
   */
  encodedLayout(layout: TensorLayout): TensorLayout;
  /**
   * @param valuesOf as many float32 values as the tensor's shape has; may be asked for several times per tensor
   * @returns tensors of exactly `encodedLayout(layout)`
   * @throws FedLoraError `update-not-finite` for a value that the codec cannot hold, naming tensor and index
   */
  encode(layout: TensorLayout, valuesOf: (name: string) => Float32Array): StateDict;
  /** Made once for all updates of a layout. */
  decoder(layout: TensorLayout): UpdateDecoder;
  /** Largest |decoded - value| over these values, coded together as one tensor, all within the codec's range. */
  errorBound(values: Float32Array): number;
}

/** Decodes updates of one layout. Whoever reads has held the encoded tensors against `encodedLayout` before. */
export interface UpdateDecoder {
  /** Encoded tensors that a tensor's values are decoded from, in canonical order. */
  sources(name: string): readonly string[];
  /**
   * Opens an encoded update, one at a time: the function that comes at the end gives a tensor's values, in memory that is
   * valid until the next call of any function that this decoder gave. A value that is not finite comes out as it is.
   *
   * @throws FedLoraError `tensor-invalid` for encoded tensors that nothing encodes to, here or from the function
   */
  open(read: EncodedRead): Opening;
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
  ["int8", int8Codec],
  ["topk", topkCodec],
]);

/** @throws FedLoraError `spec-invalid` naming those that there are */
export function codecOf(name: string): UpdateCodec {
  const colon = name.indexOf(":");
  const family = colon === -1 ? name : name.slice(0, colon);
  const codec = codecFamilies.get(family)?.(colon === -1 ? undefined : name.slice(colon + 1));
  if (codec !== undefined) return codec;
  throw new FedLoraError(
    "spec-invalid",
    `codec "${name}" is unknown, known are ${[...codecFamilies.keys()].join(", ")}; int8:BLOCK and topk:DENSITY take a parameter`,
  );
}

/**
 * Decodes a whole update in memory, tensor by tensor.
 *
 * @throws FedLoraError as `UpdateDecoder.open`
 */
export function openEncoded(decoder: UpdateDecoder, encoded: StateDict): TensorReader {
  const read: EncodedRead = (name, start, end) => {
    const tensor = encoded.get(name);
    if (tensor === undefined) throw new FedLoraError("tensor-invalid", `tensor "${name}" is missing`);
    const size = itemSize[tensor.dtype];
    return tensor.bytes.subarray(start * size, end * size);
  };
  return openNow(decoder.open(read));
}
