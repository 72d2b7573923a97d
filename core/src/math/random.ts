import { sha256 } from "../tensor/hash.js";
import { naturalLog } from "./elementary.js";

/**
 * A splittable generator of reproducible random numbers, for initialisation, shuffling, dropout and selection. It is
 * not a source of secrets or of privacy noise.
 *
 * Core: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): block i
 * of a stream is the cipher of the counter [i >> 32, i mod 2^32] under the stream's key, and gives two 32-bit words.
 * Floats use only + - * / and sqrt, which IEEE 754 fixes to the last bit, so every JavaScript engine draws the same.
 * Test vectors: testdata/core/random.
 */
export type RandomKey = readonly [number, number];

const parity = 0x1bd11bda;
const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;

/** The Threefry-2x32-20 block function on unsigned 32-bit words. */
export function threefry(key: RandomKey, counter: RandomKey): RandomKey {
  const schedule = [key[0], key[1], parity ^ key[0] ^ key[1]] as const;
  let a = (counter[0] + schedule[0]) | 0;
  let b = (counter[1] + schedule[1]) | 0;
  for (let round = 0; round < 20; round += 1) {
    const turn = rotations[round % 8] ?? 0;
    a = (a + b) | 0;
    b = ((b << turn) | (b >>> (32 - turn))) ^ a;
    if (round % 4 === 3) {
      const step = (round + 1) / 4;
      a = (a + (schedule[step % 3] ?? 0)) | 0;
      b = (b + (schedule[(step + 1) % 3] ?? 0) + step) | 0;
    }
  }
  return [a >>> 0, b >>> 0];
}

/** The root key of a seed, an integer from 0 to 2^32 - 1. */
export function randomKey(seed: number): RandomKey {
  return [0, seed >>> 0];
}

/**
 * An independent key for each label: the block under `key` of the first eight bytes of the label's SHA-256, read as two
 * big-endian words with the top bit set. Streams count blocks from 0 and never get there, so a key may both be split
 * and drawn from.
 */
export function deriveKey(key: RandomKey, ...labels: readonly (string | number)[]): RandomKey {
  let derived = key;
  for (const label of labels) {
    const digest = sha256(new TextEncoder().encode(String(label)));
    const view = new DataView(digest.buffer, digest.byteOffset);
    derived = threefry(derived, [(view.getUint32(0) | 0x80000000) >>> 0, view.getUint32(4)]);
  }
  return derived;
}

/** Draws from one key, in order. */
export class RandomStream {
  readonly #key: RandomKey;
  #block = 0;
  #spareWord: number | undefined;
  #spareNormal: number | undefined;

  constructor(key: RandomKey) {
    this.#key = key;
  }

  /** 32 random bits. */
  uint32(): number {
    if (this.#spareWord !== undefined) {
      const word = this.#spareWord;
      this.#spareWord = undefined;
      return word;
    }
    const [first, second] = threefry(this.#key, [Math.floor(this.#block / 2 ** 32), this.#block >>> 0]);
    this.#block += 1;
    this.#spareWord = second;
    return first;
  }

  /** Uniform in [0, 1), a multiple of 2^-53: 27 bits of one word, then 26 of the next. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    return (high * 2 ** 26 + (this.uint32() >>> 6)) * 2 ** -53;
  }

  /** Uniform integer in [0, bound), 1 <= bound <= 2^32; without bias, by drawing again. */
  integer(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let word = this.uint32();
    while (word >= limit) word = this.uint32();
    return word % bound;
  }

  /** Standard normal, by Marsaglia's polar method (1964); pairs are drawn together. */
  normal(): number {
    if (this.#spareNormal !== undefined) {
      const spare = this.#spareNormal;
      this.#spareNormal = undefined;
      return spare;
    }
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * naturalLog(square)) / square);
      this.#spareNormal = y * factor;
      return x * factor;
    }
  }

  /** Shuffles in place (Fisher and Yates, from the end) and returns the same array. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i -= 1) {
      const j = this.integer(i + 1);
      const item = items[i] as T;
      items[i] = items[j] as T;
      items[j] = item;
    }
    return items;
  }

  /** Independent values in [low, high), rounded to float32. */
  uniforms(count: number, low: number, high: number): Float32Array {
    return Float32Array.from({ length: count }, () => low + (high - low) * this.uniform());
  }

  /** Independent normals of mean 0, rounded to float32. */
  normals(count: number, std: number): Float32Array {
    return Float32Array.from({ length: count }, () => std * this.normal());
  }
}
