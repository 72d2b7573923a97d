import { FedLoraError } from "@fedlora/core";
import { foldTwo, largestMagnitude, largestPattern, moveMultiples, splitter, within } from "./exact-kernels.js";
import { exponentOf, patternOfPower, valueOfPattern } from "./float32.js";
import type { ExactWeight } from "./float32.js";
import { giveBack, takeZeros } from "./level-pool.js";

/** Bits between the grids of neighbouring levels. */
const spacing = 44;
/** Largest term on level 0, in bits above its grid. */
const topBits = 41;
/** Where a new window puts the largest term it sees: 10 bits of room for the larger and heavier that follow. */
const firstBits = 31;
/** float64 adds integers without rounding up to here. */
const exactLimit = 2 ** 53;
/** Most units that one fold adds to level 0. */
const topUnits = 2 ** topBits;
/** Most units that one fold adds to a level below: half a unit of the level above. */
const lowerUnits = 2 ** (spacing - 1);
/** Most units of the level above in a full level. */
const carryUnits = 2 ** (53 - spacing) + 1;

interface Level {
  /** Multiples of the level's grid. */
  readonly values: Float64Array;
  /** No |value| exceeds this many grid units; at most 2^53. */
  bound: number;
}

/**
 * Sums of `weight * value` over up to `blockLength` elements, without any rounding.
 *
 * Level l holds integers times its grid, 2^(grid + 44 l). A term is split from the top: the part on level 0's grid, the
 * part of the remainder on level -1's, and so on until nothing is left; `(t + c) - c` does that without a branch. Levels
 * 0 and -1 hold all that ordinary updates contain (75 bits from the first update's largest term down; a term has at most
 * 48). So a fold is two additions per element, after a check of the bit patterns that proves it for the block; terms
 * that fail the check are split further, and a term that is too large first moves the window up. Levels beyond the two
 * exist only where values need them; the whole range of float32 values and weights needs 14.
 *
 * Why no addition rounds: every value of a level is a multiple of its grid, and `bound` (raised before each fold by the
 * most that it can add, 2^41 units on level 0 and 2^43 below) stays within the 2^53 units where float64 is exact. A
 * level that would pass it first hands its multiples of the next grid up: at the earliest after 1023 folds. There is no
 * limit on the number of folds, and weights may be any positive float32. What is held is the exact sum, so the order of
 * folds, the windows chosen on the way, and merging change how it is spread over the levels, never its value.
 */
export class ExactBlock {
  readonly length: number;
  /** Exponent of level 0's grid; undefined while everything is zero. */
  #grid: number | undefined;
  #levels = new Map<number, Level>();

  constructor(length: number) {
    this.length = length;
  }

  /**
   * Adds `weight * values[offset + i]` to element i. `patterns` is an Int32Array over the same memory as `values`.
   * Throws `update-not-finite`, changing nothing, when a value is NaN or infinite.
   */
  add(values: Float32Array, patterns: Int32Array, offset: number, weight: ExactWeight): void {
    if (this.#grid !== undefined && this.#fits(this.#grid, patterns, offset, weight)) {
      this.#fold(this.#grid, values, offset, weight.value);
      return;
    }
    const largest = largestPattern(patterns, offset, this.length);
    if (largest === 0) return;
    if (largest >= 0x7f800000) {
      throw new FedLoraError("update-not-finite", "an update holds a value that is not a finite number");
    }
    const grid = this.#cover(exponentOf(valueOfPattern(largest)) + weight.exponent + 1);
    if (this.#fits(grid, patterns, offset, weight)) {
      this.#fold(grid, values, offset, weight.value);
    } else {
      const terms = takeZeros();
      for (let i = 0; i < this.length; i++) terms[i] = (values[offset + i] ?? 0) * weight.value;
      this.#split(grid, terms);
      giveBack(terms);
    }
  }

  merge(other: ExactBlock): void {
    for (const level of other.#levels.values()) this.#addTerms(level.values.slice());
  }

  /** Back to zero. */
  clear(): void {
    for (const { values } of this.#levels.values()) giveBack(values);
    this.#levels.clear();
    this.#grid = undefined;
  }

  /** The levels' values, from the lowest level to the highest: their exact sums are the elements' values; zeros beyond its length. */
  levels(): Float64Array[] {
    const low = this.#levels.get(-1);
    const high = this.#levels.get(0);
    if (this.#levels.size === 2 && low !== undefined && high !== undefined) return [low.values, high.values];
    return [...this.#levels].sort(([a], [b]) => a - b).map(([, level]) => level.values);
  }

  /** Whether levels 0 and -1 take all terms of the block in full. */
  #fits(grid: number, patterns: Int32Array, offset: number, weight: ExactWeight): boolean {
    const largest = patternOfPower(grid + topBits - weight.exponent - 1);
    // A float32 in [2^e, 2^(e + 1)) is a multiple of 2^(e - 23).
    const smallest = patternOfPower(grid - spacing - weight.lowBit + 23);
    return within(patterns, offset, this.length, smallest, largest);
  }

  #fold(grid: number, values: Float32Array, offset: number, weight: number): void {
    const high = this.#reserve(grid, 0, topUnits);
    const low = this.#reserve(grid, -1, lowerUnits);
    foldTwo(values, offset, this.length, weight, high, low, splitter(grid));
  }

  /** Destroys `terms`. */
  #addTerms(terms: Float64Array): void {
    const largest = largestMagnitude(terms);
    if (largest > 0) this.#split(this.#cover(exponentOf(largest)), terms);
  }

  /** Splits terms, each at most 2^topBits units of level 0, over as many levels as they need; destroys `terms`. */
  #split(grid: number, terms: Float64Array): void {
    for (let level = 0, left = true; left; level--) {
      const values = this.#reserve(grid, level, level === 0 ? topUnits : lowerUnits);
      left = moveMultiples(terms, values, splitter(grid + spacing * level));
    }
  }

  /** Makes the window take terms below 2^(exponent + 1); the grid's exponent. */
  #cover(exponent: number): number {
    if (this.#grid !== undefined && exponent + 1 <= this.#grid + topBits) return this.#grid;
    const before = [...this.#levels.values()];
    // What the levels hold by now may be larger than any single term.
    const held = before.map(({ values }) => largestMagnitude(values)).filter((largest) => largest > 0);
    const grid = Math.max(exponent, ...held.map(exponentOf)) - firstBits;
    this.#grid = grid;
    this.#levels = new Map();
    for (const { values } of before) {
      this.#addTerms(values);
      giveBack(values);
    }
    return grid;
  }

  /** A level's values with room for `units` more. */
  #reserve(grid: number, index: number, units: number): Float64Array {
    let level = this.#levels.get(index);
    if (level === undefined) {
      level = { values: takeZeros(), bound: 0 };
      this.#levels.set(index, level);
    }
    if (level.bound + units > exactLimit) {
      const above = this.#reserve(grid, index + 1, carryUnits);
      moveMultiples(level.values, above, splitter(grid + spacing * (index + 1)));
      level.bound = lowerUnits;
    }
    level.bound += units;
    return level.values;
  }
}
