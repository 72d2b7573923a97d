import { FedLoraError } from "@fedlora/core";
import { ExactBlock } from "./exact-block.js";
import { float32Weight, toUnits } from "./exact-total.js";
import type { ExactTotal } from "./exact-total.js";
import { exactWeight, nearestFloat32 } from "./float32.js";
import { blockLength, openArena, stagedLength } from "./level-arena.js";
import type { LevelArena } from "./level-arena.js";

/** The blocks of `stagedLength` elements. */
interface Chunk {
  readonly arena: LevelArena;
  readonly blocks: readonly ExactBlock[];
}

/** What a dropped sum held (an update was refused, say) is left to the sums that follow. */
const dropped = new FinalizationRegistry(clear);

/**
 * Element-wise sums of `weight * values`, exact: independent of order and sharding, in every bit.
 *
 * Values are float32, weights any non-negative finite numbers (taken as float32, see `exactWeight`); `exact-block.ts`
 * says why nothing rounds. Takes 16 bytes per element for ordinary values; 8 more for each further level, in blocks of
 * 1024 elements whose values spread over more than about 2^30, and never more than 128.
 */
export class ExactSum {
  readonly length: number;
  /** Undefined where nothing has been added. */
  readonly #chunks: (Chunk | undefined)[];
  readonly #arena: LevelArena | undefined;

  /** @param arena where the sum is kept; undefined: where this thread has room */
  constructor(length: number, arena?: LevelArena) {
    this.length = length;
    this.#arena = arena;
    this.#chunks = Array.from({ length: Math.ceil(length / stagedLength) }, () => undefined);
    dropped.register(this, this.#chunks);
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
    const exact = exactWeight(float32Weight(weight));
    if (exact === undefined) return;
    for (let c = 0; c < this.#chunks.length; c++) {
      const { arena, blocks } = this.#chunk(c);
      let at = this.#stage(arena, values, c);
      for (const block of blocks) {
        block.add(at, exact);
        at += 4 * blockLength;
      }
    }
  }

  /** Adds what another sum of the same length holds. */
  merge(other: ExactSum): void {
    if (other.length !== this.length) {
      throw new FedLoraError("update-shape", `a sum of ${other.length} elements merged into one of ${this.length}`);
    }
    other.#chunks.forEach((added, c) => {
      if (added === undefined) return;
      this.#chunk(c).blocks.forEach((block, b) => {
        const from = added.blocks[b];
        if (from !== undefined) block.merge(from);
      });
    });
  }

  /** Back to zero; gives the memory back at once, where dropping the sum leaves that to the garbage collector. */
  clear(): void {
    clear(this.#chunks);
  }

  /**
   * For each element the float32 nearest to base + sum / total, as real numbers: rounded once, ties to even. Where the
   * sum is 0 the base is returned bit by bit. The result may be infinite. The sum is zero afterwards.
   *
   * @param total sum of the weights, positive
   * @param base float32 values that the mean is added to; undefined: zeros
   */
  takeMean(total: ExactTotal, base?: Float32Array): Float32Array {
    const inverse = 1 / total.toNumber();
    const { exact } = total;
    const out = new Float32Array(this.length);
    this.#chunks.forEach((chunk, c) => {
      const start = c * stagedLength;
      const length = Math.min(stagedLength, this.length - start);
      if (chunk === undefined) {
        if (base !== undefined) out.set(base.subarray(start, start + length), start);
        return;
      }
      const { arena, blocks } = chunk;
      let at = this.#stage(arena, base, c);
      blocks.forEach((block, b) => {
        const first = start + b * blockLength;
        block.roundMeans(at, inverse, exact, (i) => this.#exactMean(first + i, total, base?.[first + i] ?? 0));
        at += 4 * blockLength;
      });
      out.set(arena.floats.subarray(arena.staged >>> 2, (arena.staged >>> 2) + length), start);
    });
    this.clear();
    return out;
  }

  /** The exact sum at an element, in units of 2^-298. */
  toBigInt(index: number): bigint {
    return this.#parts(index).reduce((sum, part) => sum + toUnits(part), 0n);
  }

  #chunk(c: number): Chunk {
    const known = this.#chunks[c];
    if (known !== undefined) return known;
    const arena = this.#arena ?? openArena();
    const length = Math.min(stagedLength, this.length - c * stagedLength);
    const blocks = Array.from(
      { length: Math.ceil(length / blockLength) },
      (_, b) => new ExactBlock(Math.min(blockLength, length - b * blockLength), arena),
    );
    return (this.#chunks[c] = { arena, blocks });
  }

  /** Copies a chunk's share of the values into the arena; its address there. */
  #stage(arena: LevelArena, values: Float32Array | undefined, c: number): number {
    const start = c * stagedLength;
    arena.stage(values, start, Math.min(stagedLength, this.length - start));
    return arena.staged;
  }

  #parts(index: number): readonly number[] {
    const chunk = this.#chunks[Math.floor(index / stagedLength)];
    return chunk?.blocks[Math.floor((index % stagedLength) / blockLength)]?.parts(index % blockLength) ?? [];
  }

  #exactMean(index: number, total: ExactTotal, from: number): number {
    // base + sum / total = (base * total + sum * unit) / (total * unit), each in units.
    const sum = this.toBigInt(index);
    if (sum === 0n) return from;
    const weight = total.toBigInt();
    const one = toUnits(1);
    return nearestFloat32(toUnits(from) * weight + sum * one, weight * one);
  }
}

function clear(chunks: (Chunk | undefined)[]): void {
  for (const chunk of chunks) {
    for (const block of chunk?.blocks ?? []) block.clear();
  }
  chunks.fill(undefined);
}
