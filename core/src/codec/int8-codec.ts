import { FedLoraError } from "../errors.js";
import { canonicalLayout, toStateDict } from "../tensor/state-dict.js";
import { elementCount } from "../tensor/tensor.js";
import type { Tensor, TensorLayout, TensorSpec } from "../tensor/tensor.js";
import { fromFloat32 } from "../tensor/values.js";
import type { UpdateCodec, UpdateDecoder } from "./codec.js";
import { openedAtOnce } from "./opening.js";
import { Scratch } from "./scratch.js";
import { unheld } from "./unheld.js";

const defaultBlock = 64;
const levels = 127;

const scaleName = (tensor: string): string => `${tensor}.scale`;

/**
 * Absolute-maximum quantisation in blocks: every `block` values in a row share a float32 scale = max |x| / 127 and are
 * stored as round(x / scale), ties up, in 8 bits. A tensor NAME travels as `NAME` I8 in its own shape and `NAME.scale`
 * F32 [ceil(n / block)]; a block of zeros has scale 0. A value is off by at most its block's max |x| / 254, but for the
 * rounding of float32. Refuses NaN, infinities and blocks whose largest value would decode to an infinity.
 *
 * @param parameter values per scale, 1 to 99999; default 64
 */
export function int8Codec(parameter: string | undefined): UpdateCodec | undefined {
  if (parameter !== undefined && !/^[1-9][0-9]{0,4}$/.test(parameter)) return undefined;
  const block = parameter === undefined ? defaultBlock : Number(parameter);
  const name = parameter === undefined ? "int8" : `int8:${parameter}`;
  return {
    name,
    family: "int8",
    isLossy: true,
    errorBound: (values) => {
      const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      // 2^-16 covers the rounding of the scale and of the product, 2^-142 scales too small for float32.
      return largest === 0 ? 0 : (largest / (2 * levels)) * (1 + 2 ** -16) + 2 ** -142;
    },
    encodedLayout: (layout) => encodedLayout(layout, block),
    encode: (layout, valuesOf) => {
      assertNames(layout);
      return toStateDict(layout.flatMap((spec) => quantise(spec, valuesOf(spec.name), block, name)));
    },
    decoder: (layout) => int8Decoder(layout, block),
  };
}

function encodedLayout(layout: TensorLayout, block: number): TensorLayout {
  assertNames(layout);
  return canonicalLayout(
    layout.flatMap(({ name, shape }): TensorSpec[] => [
      { name, dtype: "I8", shape },
      { name: scaleName(name), dtype: "F32", shape: [Math.ceil(elementCount(shape) / block)] },
    ]),
  );
}

function assertNames(layout: TensorLayout): void {
  const names = new Set(layout.map(({ name }) => name));
  for (const { name } of layout) {
    if (!names.has(scaleName(name))) continue;
    const message = `tensor "${scaleName(name)}" has the name that codec int8 needs for the scales of "${name}"`;
    throw new FedLoraError("tensor-invalid", message, { details: { tensor: scaleName(name) } });
  }
}

function quantise(
  { name, shape }: TensorSpec,
  values: Float32Array,
  block: number,
  codec: string,
): (readonly [string, Tensor])[] {
  const quantised = new Int8Array(values.length);
  const scales = new Float32Array(Math.ceil(values.length / block));
  for (let at = 0, b = 0; at < values.length; at += block, b += 1) {
    const end = Math.min(at + block, values.length);
    let largest = 0;
    for (let i = at; i < end; i += 1) largest = Math.max(largest, Math.abs(values[i] ?? 0));
    const scale = Math.fround(largest / levels);
    if (!Number.isFinite(Math.fround(scale * levels))) throw unheld(codec, name, values, at + worst(values, at, end));
    scales[b] = scale;
    if (scale === 0) continue;
    for (let i = at; i < end; i += 1) {
      // A scale that float32 holds with few bits may be too small for its block's largest value.
      quantised[i] = Math.max(-levels, Math.min(levels, Math.round((values[i] ?? 0) / scale)));
    }
  }
  return [
    [name, { dtype: "I8", shape, bytes: new Uint8Array(quantised.buffer) }],
    [scaleName(name), fromFloat32(scales, [scales.length])],
  ];
}

/** Where in the block the value is that makes it too large: the first that is not finite, else the largest. */
function worst(values: Float32Array, at: number, end: number): number {
  const block = values.subarray(at, end);
  const index = block.findIndex((value) => !Number.isFinite(value));
  if (index !== -1) return index;
  const largest = block.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return block.findIndex((value) => Math.abs(value) === largest);
}

function int8Decoder(layout: TensorLayout, block: number): UpdateDecoder {
  const counts = new Map(layout.map(({ name, shape }) => [name, elementCount(shape)]));
  const decoded = new Scratch();
  const scaleScratch = new Scratch();
  return {
    sources: (name) => [name, scaleName(name)],
    open: (read) =>
      openedAtOnce((name) => {
        const count = counts.get(name);
        if (count === undefined) throw new FedLoraError("tensor-invalid", `tensor "${name}" is not of the layout`);
        const scales = scaleScratch.take(Math.ceil(count / block));
        // Copied, since the next reading may overwrite it; as bytes, which need no alignment.
        new Uint8Array(scales.buffer).set(read(scaleName(name), 0, scales.length));
        const bytes = read(name, 0, count);
        const values = decoded.take(count);
        for (let at = 0, b = 0; at < count; at += block, b += 1) {
          const scale = scales[b] ?? 0;
          if (scale < 0) {
            const message = `tensor "${scaleName(name)}" is ${scale} at index ${b}, a scale is at least 0`;
            throw new FedLoraError("tensor-invalid", message, { details: { tensor: scaleName(name) } });
          }
          const end = Math.min(at + block, count);
          // Shifting up and down gives the byte its sign.
          for (let i = at; i < end; i += 1) values[i] = (((bytes[i] ?? 0) << 24) >> 24) * scale;
        }
        return values;
      }),
  };
}
