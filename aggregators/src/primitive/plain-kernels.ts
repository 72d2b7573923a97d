import { lanes } from "./exact-kernels.js";
import type { ExactKernels } from "./exact-kernels.js";
import { meanInFloat64 } from "./mean-in-float64.js";

/** One memory seen as each type; an arena replaces the arrays when its memory grows. */
export interface MemoryViews {
  floats: Float32Array;
  /** The bits of `floats`. */
  patterns: Int32Array;
  doubles: Float64Array;
}

const magnitude = 0x7fffffff;

/** The kernels in plain TypeScript: what engines without WebAssembly SIMD use, and what the others are tested against. */
export class PlainKernels implements ExactKernels {
  readonly #views: MemoryViews;
  readonly #group = new Float32Array(lanes);

  constructor(views: MemoryViews) {
    this.#views = views;
  }

  within(values: number, count: number, smallest: number, largest: number): boolean {
    const { patterns } = this.#views;
    const start = values >>> 2;
    // The sign bit of `out` is set when one is outside.
    let out = 0;
    for (let i = start; i < start + count; i++) {
      const a = (patterns[i] ?? 0) & magnitude;
      out |= (largest - a) | ((a - smallest) & -a);
    }
    return out >= 0;
  }

  largestPattern(values: number, count: number): number {
    const { patterns } = this.#views;
    const start = values >>> 2;
    let largest = 0;
    for (let i = start; i < start + count; i++) {
      const a = (patterns[i] ?? 0) & magnitude;
      if (a > largest) largest = a;
    }
    return largest;
  }

  largestMagnitude(terms: number, count: number): number {
    const { doubles } = this.#views;
    const start = terms >>> 3;
    let largest = 0;
    for (let i = start; i < start + count; i++) {
      const size = Math.abs(doubles[i] ?? 0);
      if (size > largest) largest = size;
    }
    return largest;
  }

  foldTwo(values: number, count: number, weight: number, high: number, low: number, c: number): void {
    const { floats, doubles } = this.#views;
    const from = values >>> 2;
    const h = high >>> 3;
    const l = low >>> 3;
    for (let i = 0; i < count; i++) {
      const term = (floats[from + i] ?? 0) * weight;
      const part = term + c - c;
      doubles[h + i] = (doubles[h + i] ?? 0) + part;
      doubles[l + i] = (doubles[l + i] ?? 0) + (term - part);
    }
  }

  moveMultiples(from: number, count: number, to: number, c: number): boolean {
    const { doubles } = this.#views;
    const source = from >>> 3;
    const target = to >>> 3;
    let left = false;
    for (let i = 0; i < count; i++) {
      const value = doubles[source + i] ?? 0;
      const part = value + c - c;
      const rest = value - part;
      doubles[target + i] = (doubles[target + i] ?? 0) + part;
      doubles[source + i] = rest;
      if (rest !== 0) left = true;
    }
    return left;
  }

  addLevel(level: number, count: number, sums: number, sizes: number): void {
    const { doubles } = this.#views;
    for (let i = 0; i < count; i++) {
      const part = doubles[(level >>> 3) + i] ?? 0;
      doubles[(sums >>> 3) + i] = (doubles[(sums >>> 3) + i] ?? 0) + part;
      doubles[(sizes >>> 3) + i] = (doubles[(sizes >>> 3) + i] ?? 0) + Math.abs(part);
    }
  }

  joinLevels(low: number, high: number, count: number, sums: number, sizes: number): void {
    const { doubles } = this.#views;
    for (let i = 0; i < count; i++) {
      const a = doubles[(low >>> 3) + i] ?? 0;
      const b = doubles[(high >>> 3) + i] ?? 0;
      doubles[(sums >>> 3) + i] = a + b;
      doubles[(sizes >>> 3) + i] = Math.abs(a) + Math.abs(b);
    }
  }

  roundMeans(
    i: number,
    count: number,
    sums: number,
    sizes: number,
    inverse: number,
    tolerance: number,
    values: number,
    low: number,
    high: number,
    total: number,
  ): number {
    const { floats, doubles } = this.#views;
    for (; i < count; i += lanes) {
      let isOpen = false;
      for (let j = 0; j < lanes; j++) {
        const from = floats[(values >>> 2) + i + j] ?? 0;
        const size = doubles[(sizes >>> 3) + i + j] ?? 0;
        const value = from + (doubles[(sums >>> 3) + i + j] ?? 0) * inverse;
        const error = (size * inverse + Math.abs(from)) * tolerance;
        const lower = Math.fround(value - error);
        isOpen ||= (lower !== Math.fround(value + error) || lower === 0) && size !== 0;
        this.#group[j] = size === 0 ? from : lower;
      }
      if (isOpen && (low === 0 || !this.#decide(i, values, low, high, total, tolerance))) return i;
      floats.set(this.#group, (values >>> 2) + i);
    }
    return i;
  }

  /** Decides each element of a group by its levels; whether all are. */
  #decide(i: number, values: number, low: number, high: number, total: number, tolerance: number): boolean {
    const { floats, doubles } = this.#views;
    for (let j = i; j < i + lanes; j++) {
      const parts = [doubles[(low >>> 3) + j] ?? 0, doubles[(high >>> 3) + j] ?? 0];
      const mean = meanInFloat64(parts, floats[(values >>> 2) + j] ?? 0, total, tolerance);
      if (mean === undefined || !Number.isFinite(mean)) return false;
      this.#group[j - i] = mean;
    }
    return true;
  }
}
