import { FedLoraError } from "@fedlora/core";
import { ExactBlock } from "./exact-block.js";
import { addLevel, joinLevels, roundMeans } from "./exact-kernels.js";
import { exactWeight, nearestFloat32 } from "./float32.js";
import { blockLength, giveBack, takeZeros } from "./level-pool.js";

/** Every product of two float32 values is an integer times 2^-298. */
const unitExponent = -298;
/** Relative error of a mean taken in float64 from up to 16 levels, with a wide margin. */
const roundingError = 2 ** -47;

/**
 * Element-wise sums of `weight * values`, exact: independent of order and sharding, in every bit.
 *
 * Values are float32, weights any non-negative finite numbers (taken as float32, see `exactWeight`); `exact-block.ts`
 * says why nothing rounds. Takes 16 bytes per element for ordinary values; 8 more for each further level, in blocks of
 * 1024 elements whose values spread over more than about 2^30, and never more than 128.
 */
export class ExactSum {
  readonly length: number;
  readonly #blocks: readonly ExactBlock[];

  constructor(length: number) {
    this.length = length;
    this.#blocks = Array.from(
      { length: Math.ceil(length / blockLength) },
      (_, i) => new ExactBlock(Math.min(blockLength, length - i * blockLength)),
    );
  }

  /**
   * Adds `weight * values`.
   *
   * @throws FedLoraError `update-not-finite` (then part of the values may have been added: drop the sum),
   *   `update-weight`, `update-shape`
   */
  add(values: Float32Array, weight: number): void {
    if (values.length !== this.length) {
      throw new FedLoraError("update-shape", `${values.length} values for a sum of ${this.length} elements`);
    }
    if (!(weight >= 0 && Math.fround(weight) < Infinity)) {
      throw new FedLoraError("update-weight", `weight ${weight} must be a finite number of at least 0`);
    }
    const exact = exactWeight(weight);
    if (exact === undefined) return;
    const patterns = new Int32Array(values.buffer, values.byteOffset, values.length);
    let offset = 0;
    for (const block of this.#blocks) {
      block.add(values, patterns, offset, exact);
      offset += blockLength;
    }
  }

  /** Adds what another sum of the same length holds. */
  merge(other: ExactSum): void {
    if (other.length !== this.length) {
      throw new FedLoraError("update-shape", `a sum of ${other.length} elements merged into one of ${this.length}`);
    }
    this.#blocks.forEach((block, i) => {
      const added = other.#blocks[i];
      if (added !== undefined) block.merge(added);
    });
  }

  /**
   * For each element the float32 nearest to base + sum / total, as real numbers: rounded once, ties to even. Where the
   * sum is 0 the base is returned bit by bit. The result may be infinite. The sum is zero afterwards.
   *
   * @param total sum of the weights: one element, positive
   * @param base float32 values that the mean is added to; undefined: zeros
   */
  takeMean(total: ExactSum, base: Float32Array = new Float32Array(this.length)): Float32Array {
    const inverse = 1 / total.toNumber(0);
    const out = new Float32Array(this.length);
    const sums = takeZeros();
    const sizes = takeZeros();
    this.#blocks.forEach((block, b) => {
      const { length } = block;
      const start = b * blockLength;
      addUp(block.levels(), sums, sizes);
      // Nearly always the error of float64 cannot change the float32; where it could, integers decide.
      for (let i = 0; i < length; i++) {
        i = roundMeans(i, length, sums, sizes, inverse, roundingError, base, out, start);
        if (i < length) out[start + i] = this.#exactMean(start + i, total, base[start + i] ?? 0);
      }
      block.clear();
    });
    giveBack(sums);
    giveBack(sizes);
    return out;
  }

  /** The exact sum at an element, in units of 2^-298. */
  toBigInt(index: number): bigint {
    const levels = this.#blocks[Math.floor(index / blockLength)]?.levels() ?? [];
    return levels.reduce((sum, level) => sum + toUnits(level[index % blockLength] ?? 0), 0n);
  }

  /** The sum at an element in float64, with a relative error of a few units in the last place where terms have one sign. */
  toNumber(index: number): number {
    const levels = this.#blocks[Math.floor(index / blockLength)]?.levels() ?? [];
    return levels.reduce((sum, level) => sum + (level[index % blockLength] ?? 0), 0);
  }

  #exactMean(index: number, total: ExactSum, from: number): number {
    // base + sum / total = (base * total + sum * unit) / (total * unit), each in units.
    const sum = this.toBigInt(index);
    if (sum === 0n) return from;
    const weight = total.toBigInt(0);
    const one = 1n << BigInt(-unitExponent);
    return nearestFloat32(toUnits(from) * weight + sum * one, weight * one);
  }
}

/** Rounded sums over the levels, lowest first, and the sizes of what went in. */
function addUp(levels: readonly Float64Array[], sums: Float64Array, sizes: Float64Array): void {
  const [low, high, ...more] = levels;
  if (low !== undefined && high !== undefined) {
    joinLevels(low, high, sums, sizes);
    for (const level of more) addLevel(level, sums, sizes);
  } else {
    sums.fill(0);
    sizes.fill(0);
    if (low !== undefined) addLevel(low, sums, sizes);
  }
}

/** A float64 that is a multiple of 2^-298. Scaling by a power of two is exact. */
const toUnits = (value: number): bigint => BigInt(value * 2 ** -unitExponent);
