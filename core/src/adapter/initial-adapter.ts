import { orthonormalizeRows } from "../math/orthonormal-rows.js";
import { RandomStream, deriveKey, randomKey } from "../math/random.js";
import { toStateDict } from "../tensor/state-dict.js";
import type { StateDict, Tensor } from "../tensor/tensor.js";
import { fromFloat32 } from "../tensor/values.js";
import { adapterKeys, headKeys } from "./lora-config.js";
import type { ResolvedAdapter, ResolvedModule } from "./lora-config.js";

/** Standard deviation of a fresh head, `initializer_range` of the Hugging Face configs. */
const headStd = 0.02;
/** `d_initial` of PEFT's VeraConfig. */
const veraScale = 0.1;

type Entries = (readonly [string, Tensor])[];
type Streams = (label: string) => RandomStream;

/**
 * The adapter of round 0. In every variant the adapted model begins as the base model:
 *
 * - `lora`, as PEFT: A Kaiming-uniform with a = sqrt(5), which is uniform in +-1 / sqrt(dIn); B zero;
 * - `latent`: rows of A and columns of B orthonormal and random, R zero, so that the gradient of R is the weight's,
 *   projected (the random-basis form of LoRA-XS, Balazy et al. 2024);
 * - `vera`, as PEFT (Kopiczko et al. 2024): A and B Kaiming-uniform with a = 0, in +-sqrt(6 / dIn) and +-sqrt(6 / rank),
 *   the same for all modules of a shape; `vera_lambda_d` 0.1, `vera_lambda_b` zero;
 * - head weights normal with a standard deviation of 0.02, head biases zero.
 *
 * Every tensor has a random stream of its own, derived from the seed and the tensor's name (VeRA's A and B: its shape):
 * adding a module leaves the values of the others as they are.
 *
 * @param seed integer from 0 to 2^32 - 1
 * @returns F32 tensors of exactly `adapterLayout`
 */
export function initialAdapter({ modules, heads, variant }: ResolvedAdapter, seed: number): StateDict {
  const stream: Streams = (label) => new RandomStream(deriveKey(randomKey(seed), "initial-adapter", label));
  const entries: Entries = modules.flatMap((module) => factors[variant](module, stream));
  for (const { name, dIn, dOut, bias } of heads) {
    const keys = headKeys(name);
    entries.push([keys.weight, fromFloat32(stream(keys.weight).normals(dOut * dIn, headStd), [dOut, dIn])]);
    if (bias) entries.push([keys.bias, filled(0, dOut)]);
  }
  return toStateDict(entries);
}

const factors: Readonly<Record<ResolvedAdapter["variant"], (module: ResolvedModule, stream: Streams) => Entries>> = {
  lora({ name, rank, dIn, dOut }, stream) {
    const { a, b } = adapterKeys(name);
    return [
      [a, uniform(stream(a), 1 / Math.sqrt(dIn), rank, dIn)],
      [b, filled(0, dOut, rank)],
    ];
  },
  latent({ name, rank, dIn, dOut }, stream) {
    const { a, b, r } = adapterKeys(name);
    return [
      [a, fromFloat32(Float32Array.from(orthonormal(stream(a), rank, dIn)), [rank, dIn])],
      [b, fromFloat32(transposed(orthonormal(stream(b), rank, dOut), rank, dOut), [dOut, rank])],
      [r, filled(0, rank, rank)],
    ];
  },
  vera({ name, rank, dIn, dOut }, stream) {
    const { a, b, scaleRank, scaleOut } = adapterKeys(name);
    return [
      [a, uniform(stream(`vera_A ${rank} x ${dIn}`), Math.sqrt(6 / dIn), rank, dIn)],
      [b, uniform(stream(`vera_B ${dOut} x ${rank}`), Math.sqrt(6 / rank), dOut, rank)],
      [scaleRank, filled(veraScale, rank)],
      [scaleOut, filled(0, dOut)],
    ];
  },
};

function filled(value: number, ...shape: number[]): Tensor {
  return fromFloat32(new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value), shape);
}

function uniform(stream: RandomStream, bound: number, rows: number, columns: number): Tensor {
  return fromFloat32(stream.uniforms(rows * columns, -bound, bound), [rows, columns]);
}

/** Orthonormal rows that span a uniformly random subspace. */
function orthonormal(stream: RandomStream, rows: number, columns: number): Float64Array {
  const values = Float64Array.from({ length: rows * columns }, () => stream.normal());
  orthonormalizeRows(values, rows, columns);
  return values;
}

function transposed(values: Float64Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1)
      result[column * rows + row] = values[row * columns + column] ?? 0;
  }
  return result;
}
