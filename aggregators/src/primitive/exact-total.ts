import { FedLoraError } from "@fedlora/core";

/** Every float32 is an integer times 2^-298, and so is every product of two. */
const unitExponent = -298;

/** A float64 that is a multiple of 2^-298, in such units. Scaling by a power of two is exact. */
export const toUnits = (value: number): bigint => BigInt(value * 2 ** -unitExponent);

/**
 * Sum of weights, exact: independent of order and sharding, in every bit. Weights are any non-negative finite numbers,
 * taken as float32. What float64 rounds off an addition is kept as a number of its own (Shewchuk, Discrete & Computational
 * Geometry 18, 1997); ordinary weights leave nothing.
 */
export class ExactTotal {
  /** Their sum is the total; of ascending magnitude, none overlaps another. */
  readonly #parts: number[] = [];

  /** @throws FedLoraError `update-weight` */
  add(weight: number): void {
    this.#add(float32Weight(weight));
  }

  merge(other: ExactTotal): void {
    for (const part of other.#parts) this.#add(part);
  }

  /** The total where float64 holds the whole of it. */
  get exact(): number | undefined {
    if (this.#parts.length < 2) return this.#parts[0] ?? 0;
    const rounded = this.toNumber();
    return toUnits(rounded) === this.toBigInt() ? rounded : undefined;
  }

  /** Rounded once. */
  toNumber(): number {
    return this.#parts.length < 2 ? (this.#parts[0] ?? 0) : Number(this.toBigInt()) * 2 ** unitExponent;
  }

  /** In units of 2^-298. */
  toBigInt(): bigint {
    return this.#parts.reduce((sum, part) => sum + toUnits(part), 0n);
  }

  #add(value: number): void {
    if (value === 0) return;
    const parts = this.#parts;
    let sum = value;
    let count = 0;
    for (const part of parts) {
      const [larger, smaller] = Math.abs(sum) < Math.abs(part) ? [part, sum] : [sum, part];
      sum = larger + smaller;
      const rest = smaller - (sum - larger);
      if (rest !== 0) parts[count++] = rest;
    }
    parts.length = count;
    parts.push(sum);
  }
}

/** @throws FedLoraError `update-weight` */
export function float32Weight(weight: number): number {
  const value = Math.fround(weight);
  if (weight >= 0 && value < Infinity) return value;
  throw new FedLoraError("update-weight", `weight ${weight} must be a finite number of at least 0`);
}
