import { FedLoraError } from "@fedlora/core";
import { lanes, splitter } from "./exact-kernels.js";
import { exponentOf, patternOfPower, valueOfPattern } from "./float32.js";
import type { ExactWeight } from "./float32.js";
import type { LevelArena } from "./level-arena.js";

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
/** Relative error of a mean taken in float64 from up to 16 levels, with a wide margin. */
const roundingError = 2 ** -47;

interface Level {
  /** Where the arena keeps its values, multiples of the level's grid. */
  readonly address: number;
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
  /** The length in whole groups of lanes; the elements beyond it stay zero. */
  readonly #count: number;
  readonly #arena: LevelArena;
  /** Exponent of level 0's grid; undefined while everything is zero. */
  #grid: number | undefined;
  /** Of level 0's grid. */
  #splitter = 0;
  #levels = new Map<number, Level>();

  constructor(length: number, arena: LevelArena) {
    this.length = length;
    this.#count = Math.ceil(length / lanes) * lanes;
    this.#arena = arena;
  }

  /**
   * Adds `weight * value` for the block's values, staged in the arena at an address. Throws `update-not-finite`, changing
   * nothing, when a value is NaN or infinite.
   */
  add(values: number, weight: ExactWeight): void {
    const { kernels } = this.#arena;
    if (this.#grid !== undefined && this.#fits(values, this.#grid, weight)) {
      this.#fold(values, this.#grid, weight.value);
      return;
    }
    const largest = kernels.largestPattern(values, this.#count);
    if (largest === 0) return;
    if (largest >= 0x7f800000) {
      throw new FedLoraError("update-not-finite", "an update holds a value that is not a finite number");
    }
    const grid = this.#cover(exponentOf(valueOfPattern(largest)) + weight.exponent + 1);
    if (this.#fits(values, grid, weight)) {
      this.#fold(values, grid, weight.value);
    } else {
      const terms = this.#arena.take();
      const { floats, doubles } = this.#arena;
      for (let i = 0; i < this.length; i++) {
        doubles[(terms >>> 3) + i] = (floats[(values >>> 2) + i] ?? 0) * weight.value;
      }
      this.#split(grid, terms);
      this.#arena.give(terms);
    }
  }

  merge(other: ExactBlock): void {
    for (const { address } of other.#levels.values()) {
      const terms = this.#arena.take();
      this.#arena.doubles.set(other.#values(address), terms >>> 3);
      this.#addTerms(terms);
      this.#arena.give(terms);
    }
  }

  /** Back to zero. */
  clear(): void {
    for (const { address } of this.#levels.values()) this.#arena.give(address);
    this.#levels.clear();
    this.#grid = undefined;
  }

  /** What the levels hold of an element, from the lowest level to the highest: its value is their exact sum. */
  parts(index: number): number[] {
    const { doubles } = this.#arena;
    return this.#addresses().map((address) => doubles[(address >>> 3) + index] ?? 0);
  }

  /**
   * Each value staged at an address becomes the float32 nearest to value + element * inverse, and stays bit by bit where
   * nothing was added. Nearly always the error of float64 cannot change the float32, or its two levels decide; where not,
   * `exact` is asked for the group of elements, given their index.
   *
   * @param total what `inverse` is the inverse of, where float64 has the whole of it
   */
  roundMeans(values: number, inverse: number, total: number | undefined, exact: (index: number) => number): void {
    const { kernels, sums, sizes, floats } = this.#arena;
    const [low = 0, high = 0] = this.#addUp();
    const known = total === undefined || this.#levels.size !== 2 ? 0 : low;
    for (let i = 0; i < this.#count; i += lanes) {
      i = kernels.roundMeans(i, this.#count, sums, sizes, inverse, roundingError, values, known, high, total ?? 0);
      for (let j = i; j < Math.min(i + lanes, this.length); j++) floats[(values >>> 2) + j] = exact(j);
    }
  }

  #values(address: number): Float64Array {
    return this.#arena.doubles.subarray(address >>> 3, (address >>> 3) + this.#count);
  }

  /** The levels' addresses, lowest level first. */
  #addresses(): number[] {
    const low = this.#levels.get(-1);
    const high = this.#levels.get(0);
    if (this.#levels.size === 2 && low !== undefined && high !== undefined) return [low.address, high.address];
    return [...this.#levels].sort(([a], [b]) => a - b).map(([, { address }]) => address);
  }

  /** Rounded sums over the levels, lowest first, and the sizes of what went in; the levels' addresses. */
  #addUp(): number[] {
    const { kernels, sums, sizes, doubles } = this.#arena;
    const addresses = this.#addresses();
    const [low, high, ...more] = addresses;
    if (low !== undefined && high !== undefined) {
      kernels.joinLevels(low, high, this.#count, sums, sizes);
      for (const address of more) kernels.addLevel(address, this.#count, sums, sizes);
    } else {
      for (const start of [sums >>> 3, sizes >>> 3]) doubles.fill(0, start, start + this.#count);
      if (low !== undefined) kernels.addLevel(low, this.#count, sums, sizes);
    }
    return addresses;
  }

  /** Whether levels 0 and -1 take the terms of all staged values in full. */
  #fits(values: number, grid: number, weight: ExactWeight): boolean {
    const largest = patternOfPower(grid + topBits - weight.exponent - 1);
    // A float32 in [2^e, 2^(e + 1)) is a multiple of 2^(e - 23).
    const smallest = patternOfPower(grid - spacing - weight.lowBit + 23);
    return this.#arena.kernels.within(values, this.#count, smallest, largest);
  }

  #fold(values: number, grid: number, weight: number): void {
    const high = this.#reserve(grid, 0, topUnits);
    const low = this.#reserve(grid, -1, lowerUnits);
    this.#arena.kernels.foldTwo(values, this.#count, weight, high, low, this.#splitter);
  }

  /** Destroys the terms at an address. */
  #addTerms(terms: number): void {
    const largest = this.#arena.kernels.largestMagnitude(terms, this.#count);
    if (largest > 0) this.#split(this.#cover(exponentOf(largest)), terms);
  }

  /** Splits terms, each at most 2^topBits units of level 0, over as many levels as they need; destroys them. */
  #split(grid: number, terms: number): void {
    for (let level = 0, left = true; left; level--) {
      const values = this.#reserve(grid, level, level === 0 ? topUnits : lowerUnits);
      left = this.#arena.kernels.moveMultiples(terms, this.#count, values, splitter(grid + spacing * level));
    }
  }

  /** Makes the window take terms below 2^(exponent + 1); the grid's exponent. */
  #cover(exponent: number): number {
    if (this.#grid !== undefined && exponent + 1 <= this.#grid + topBits) return this.#grid;
    const before = [...this.#levels.values()];
    // What the levels hold by now may be larger than any single term.
    const held = before
      .map(({ address }) => this.#arena.kernels.largestMagnitude(address, this.#count))
      .filter((largest) => largest > 0);
    const grid = Math.max(exponent, ...held.map(exponentOf)) - firstBits;
    this.#grid = grid;
    this.#splitter = splitter(grid);
    this.#levels = new Map();
    for (const { address } of before) {
      this.#addTerms(address);
      this.#arena.give(address);
    }
    return grid;
  }

  /** The address of a level with room for `units` more. */
  #reserve(grid: number, index: number, units: number): number {
    let level = this.#levels.get(index);
    if (level === undefined) {
      level = { address: this.#arena.take(), bound: 0 };
      this.#levels.set(index, level);
    }
    if (level.bound + units > exactLimit) {
      const above = this.#reserve(grid, index + 1, carryUnits);
      this.#arena.kernels.moveMultiples(level.address, this.#count, above, splitter(grid + spacing * (index + 1)));
      level.bound = lowerUnits;
    }
    level.bound += units;
    return level.address;
  }
}
