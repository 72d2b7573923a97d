import { ChaCha20, chacha20KeyBytes } from "./chacha20.js";
import { expOfMinus, naturalLog } from "./elementary.js";
import { edges, heights, layers, tailStart } from "./ziggurat.js";

const bufferWords = 1024;

/** 32 bytes of the system's cryptographic generator, in Node and in browsers. */
export function systemSecret(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(chacha20KeyBytes));
}

/**
 * Randomness that privacy rests on: noise, Poisson samples, dropout masks of private steps. A 32-byte key that nobody
 * else knows is expanded by ChaCha20; the same key and nonce give the same numbers on every machine, since normals use
 * only + - * / and sqrt.
 *
 * Normals are drawn by the ziggurat method from uniforms of 53 bits. They reach 13 standard deviations; what lies beyond
 * has a probability below 1e-37. Like every sampler in floating point this one yields a grid of values and
 * not a continuum, in whose lowest bits an attacker may read whether a sum was near the noise's grid (Mironov 2012;
 * Holohan and Braghin 2021). So noise is added in float64 and the sum rounded once to float32 (`addNormals`): the 29 bits
 * that are lost there are those that the attack needs. Do not release sums in float64.
 */
export class SecretRandom {
  readonly #cipher: ChaCha20;
  readonly #words = new Int32Array(bufferWords);
  #next = bufferWords;

  /**
   * @param key 32 bytes, see `systemSecret`
   * @param nonce 12 bytes: different nonces give independent streams under one key; default zeros
   */
  constructor(key: Uint8Array, nonce?: Uint8Array) {
    this.#cipher = new ChaCha20(key, nonce);
  }

  /** 32 random bits. */
  uint32(): number {
    if (this.#next === bufferWords) this.#refill();
    const word = this.#words[this.#next] ?? 0;
    this.#next += 1;
    return word >>> 0;
  }

  /** Uniform in [0, 1), a multiple of 2^-53: 27 bits of one word, then 26 of the next. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    return (high * 2 ** 26 + (this.uint32() >>> 6)) * 2 ** -53;
  }

  /** Standard normal. */
  normal(): number {
    for (;;) {
      const high = this.uint32();
      const layer = high & (layers - 1);
      const x = magnitude(high, this.uint32()) * (edges[layer] ?? 0);
      const drawn = x < (edges[layer + 1] ?? 0) ? x : this.#beyond(layer, x);
      if (!Number.isNaN(drawn)) return (high & signBit) === 0 ? drawn : -drawn;
    }
  }

  /**
   * Adds independent normals of mean 0 to every value, each sum taken in float64 and rounded once to what the array holds.
   *
   * @param std finite, at least 0
   */
  addNormals(values: Float32Array | Float64Array, std: number): void {
    const words = this.#words;
    let next = this.#next;
    for (let i = 0; i < values.length; i += 1) {
      // What `normal` does in 99 of 100 cases, without its calls: three times as fast.
      if (next + 2 <= bufferWords) {
        const high = words[next] ?? 0;
        const layer = high & (layers - 1);
        const x = magnitude(high, words[next + 1] ?? 0) * (edges[layer] ?? 0);
        if (x < (edges[layer + 1] ?? 0)) {
          next += 2;
          values[i] = (values[i] ?? 0) + std * ((high & signBit) === 0 ? x : -x);
          continue;
        }
      }
      this.#next = next;
      values[i] = (values[i] ?? 0) + std * this.normal();
      next = this.#next;
    }
    this.#next = next;
  }

  /** Overwrites key and buffered words; nothing can be drawn any more. */
  erase(): void {
    this.#cipher.erase();
    this.#words.fill(0);
    this.#next = bufferWords;
  }

  /** A value in the rest of a layer or in the tail; NaN where the draw is to be repeated. */
  #beyond(layer: number, x: number): number {
    if (layer > 0) {
      const [low, high] = [heights[layer] ?? 0, heights[layer + 1] ?? 1];
      return low + this.uniform() * (high - low) < expOfMinus((x * x) / 2) ? x : Number.NaN;
    }
    // Marsaglia's tail (1964): exponentials of 53 bits reach 10 beyond its start.
    for (;;) {
      const beyond = -naturalLog(1 - this.uniform()) / tailStart;
      if (-2 * naturalLog(1 - this.uniform()) > beyond * beyond) return tailStart + beyond;
    }
  }

  #refill(): void {
    this.#cipher.fill(this.#words);
    this.#next = 0;
  }
}

/** The layer takes the lowest eight bits of a word, the sign the next. */
const signBit = 0x100;

/** Uniform in [0, 1), a multiple of 2^-53: the 23 upper bits of one word, then 30 of the other. */
const magnitude = (high: number, low: number): number => ((high >>> 9) * 2 ** 30 + (low >>> 2)) * 2 ** -53;
