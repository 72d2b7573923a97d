import { lanes } from "./exact-kernels.js";
import type { ExactKernels } from "./exact-kernels.js";
import { PlainKernels } from "./plain-kernels.js";
import type { MemoryViews } from "./plain-kernels.js";
import { simdKernels } from "./simd-kernels.js";
import type { GrowingMemory } from "./simd-kernels.js";

/** Elements of every level, and of an exact block. */
export const blockLength = 1024;
/** Elements that are staged at once: enough that copying costs little per call, few enough for the second cache. */
export const stagedLength = 16 * blockLength;

const levelBytes = 8 * blockLength;
const stagedBytes = 4 * stagedLength;
const pageBytes = 65536;
const initialPages = 2;
/** 4 GiB, all that a 32-bit address reaches, but for one page: the end of the last level is an address as well. */
const maximum = 65535;
/** An arena that holds more, 512 MiB, takes no further blocks: those it has may yet need eight times as much. */
const mostLevels = 65536;
/** An empty arena is kept for the next sums while it is no larger than 64 MiB. */
const keptBytes = 64 * 2 ** 20;

/** "simd" where the engine has it. */
export type KernelKind = "simd" | "plain";

/**
 * The memory of the exact sums of a thread, and the kernels that work on it: levels of `blockLength` float64 values that
 * are used again, since a round makes and ends thousands of sums, and fresh memory costs more (page faults, cold caches,
 * collection) than the additions themselves.
 *
 * `floats` and `doubles` are other arrays after `take`: never hold them across a call.
 */
export class LevelArena implements MemoryViews {
  /** Address of `stagedLength` float32 values that kernels read, or round in place. */
  readonly staged = 0;
  /** Addresses of two arrays of `blockLength` float64 values, for the rounding of one block. */
  readonly sums = stagedBytes;
  readonly sizes = stagedBytes + levelBytes;
  readonly kind: KernelKind;
  readonly kernels: ExactKernels;
  floats = new Float32Array();
  patterns = new Int32Array();
  doubles = new Float64Array();
  readonly #memory: GrowingMemory;
  readonly #free: number[] = [];
  #end = stagedBytes + 2 * levelBytes;
  #used = 0;

  constructor(kind: KernelKind = "simd") {
    const simd = kind === "simd" ? simdKernels({ initial: initialPages, maximum }) : undefined;
    this.kind = simd === undefined ? "plain" : "simd";
    this.#memory = simd?.memory ?? plainMemory();
    this.kernels = simd?.kernels ?? new PlainKernels(this);
    this.#look();
  }

  /** Levels taken and not yet given back. */
  get used(): number {
    return this.#used;
  }

  get bytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** The address of a level of zeros. */
  take(): number {
    this.#used += 1;
    const address = this.#free.pop() ?? this.#extend();
    this.doubles.fill(0, address >>> 3, (address >>> 3) + blockLength);
    return address;
  }

  give(address: number): void {
    this.#used -= 1;
    this.#free.push(address);
  }

  /**
   * Stages values[offset + i] for i below `length` (at most `stagedLength`), zeros for undefined, and a group of zeros
   * after them.
   */
  stage(values: Float32Array | undefined, offset: number, length: number): void {
    const start = this.staged >>> 2;
    const end = start + length;
    if (values === undefined) this.floats.fill(0, start, end);
    else this.floats.set(length === values.length ? values : values.subarray(offset, offset + length), start);
    this.floats.fill(0, end, Math.min(end + lanes, start + stagedLength));
  }

  #extend(): number {
    const address = this.#end;
    if (address + levelBytes > this.bytes) {
      // By a quarter, so that growing costs little however often it happens.
      const pages = this.bytes / pageBytes;
      this.#memory.grow(Math.max(1, Math.min(Math.ceil(pages / 4), maximum - pages)));
      this.#look();
    }
    this.#end = address + levelBytes;
    return address;
  }

  #look(): void {
    const { buffer } = this.#memory;
    this.floats = new Float32Array(buffer);
    this.patterns = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
  }
}

let current: LevelArena | undefined;

/** The arena that takes new blocks in this thread. */
export function openArena(): LevelArena {
  const isSpent =
    current !== undefined && (current.used >= mostLevels || (current.used === 0 && current.bytes > keptBytes));
  if (current === undefined || isSpent) current = new LevelArena();
  return current;
}

function plainMemory(): GrowingMemory {
  let buffer = new ArrayBuffer(initialPages * pageBytes);
  return {
    get buffer() {
      return buffer;
    },
    grow(pages) {
      const larger = new ArrayBuffer(buffer.byteLength + pages * pageBytes);
      new Uint8Array(larger).set(new Uint8Array(buffer));
      buffer = larger;
    },
  };
}
