import { FedLoraError } from "../errors.js";

export const chacha20KeyBytes = 32;
export const chacha20NonceBytes = 12;

const wordsPerBlock = 16;
/** "expand 32-byte k" as little-endian words. */
const constants = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;

/**
 * The keystream of ChaCha20 (RFC 8439, section 2.3) as 32-bit words: bytes 4 i to 4 i + 3 are word i, little-endian.
 * Portable, so that browsers have it too, and without tables or branches that depend on the key.
 *
 * Throws `internal` for a key or nonce of another length, and after the 2^32 blocks of 64 bytes that one nonce gives.
 */
export class ChaCha20 {
  /** Constants, key, counter, nonce: the state of section 2.3. */
  readonly #state = new Int32Array(wordsPerBlock);
  #blocksLeft: number;

  /**
   * @param key 32 bytes
   * @param nonce 12 bytes: different nonces give independent keystreams under one key; default zeros
   * @param counter of the first block
   */
  constructor(key: Uint8Array, nonce: Uint8Array = new Uint8Array(chacha20NonceBytes), counter = 0) {
    assertBytes("key", key, chacha20KeyBytes);
    assertBytes("nonce", nonce, chacha20NonceBytes);
    this.#state.set(constants);
    copyWords(key, this.#state, 4);
    this.#state[12] = counter;
    copyWords(nonce, this.#state, 13);
    this.#blocksLeft = 2 ** 32 - counter;
  }

  /** Fills `words`, whose length is a multiple of 16, with the next blocks. */
  fill(words: Int32Array): void {
    const blocks = words.length / wordsPerBlock;
    if (!Number.isInteger(blocks))
      throw new FedLoraError("internal", `${words.length} words are no whole blocks of 16`);
    if (blocks > this.#blocksLeft) throw new FedLoraError("internal", "the keystream of one key and nonce is used up");
    this.#blocksLeft -= blocks;
    for (let block = 0; block < blocks; block += 1) {
      chachaBlock(this.#state, words, block * wordsPerBlock);
      this.#state[12] = ((this.#state[12] ?? 0) + 1) | 0;
    }
  }

  /** Overwrites the key; the stream gives nothing more. Copies that the engine made of it are beyond reach. */
  erase(): void {
    this.#state.fill(0);
    this.#blocksLeft = 0;
  }
}

function assertBytes(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.byteLength !== length)
    throw new FedLoraError("internal", `a ${name} of ${bytes.byteLength} bytes must have ${length}`);
}

function copyWords(bytes: Uint8Array, words: Int32Array, at: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i * 4 < bytes.byteLength; i += 1) words[at + i] = view.getInt32(i * 4, true);
}

/** The block function; in local variables, which is four times as fast as in an array. */
function chachaBlock(s: Int32Array, out: Int32Array, at: number): void {
  let x0 = s[0] ?? 0;
  let x1 = s[1] ?? 0;
  let x2 = s[2] ?? 0;
  let x3 = s[3] ?? 0;
  let x4 = s[4] ?? 0;
  let x5 = s[5] ?? 0;
  let x6 = s[6] ?? 0;
  let x7 = s[7] ?? 0;
  let x8 = s[8] ?? 0;
  let x9 = s[9] ?? 0;
  let x10 = s[10] ?? 0;
  let x11 = s[11] ?? 0;
  let x12 = s[12] ?? 0;
  let x13 = s[13] ?? 0;
  let x14 = s[14] ?? 0;
  let x15 = s[15] ?? 0;
  for (let round = 0; round < 20; round += 2) {
    x0 = (x0 + x4) | 0;
    x12 ^= x0;
    x12 = (x12 << 16) | (x12 >>> 16);
    x8 = (x8 + x12) | 0;
    x4 ^= x8;
    x4 = (x4 << 12) | (x4 >>> 20);
    x0 = (x0 + x4) | 0;
    x12 ^= x0;
    x12 = (x12 << 8) | (x12 >>> 24);
    x8 = (x8 + x12) | 0;
    x4 ^= x8;
    x4 = (x4 << 7) | (x4 >>> 25);
    x1 = (x1 + x5) | 0;
    x13 ^= x1;
    x13 = (x13 << 16) | (x13 >>> 16);
    x9 = (x9 + x13) | 0;
    x5 ^= x9;
    x5 = (x5 << 12) | (x5 >>> 20);
    x1 = (x1 + x5) | 0;
    x13 ^= x1;
    x13 = (x13 << 8) | (x13 >>> 24);
    x9 = (x9 + x13) | 0;
    x5 ^= x9;
    x5 = (x5 << 7) | (x5 >>> 25);
    x2 = (x2 + x6) | 0;
    x14 ^= x2;
    x14 = (x14 << 16) | (x14 >>> 16);
    x10 = (x10 + x14) | 0;
    x6 ^= x10;
    x6 = (x6 << 12) | (x6 >>> 20);
    x2 = (x2 + x6) | 0;
    x14 ^= x2;
    x14 = (x14 << 8) | (x14 >>> 24);
    x10 = (x10 + x14) | 0;
    x6 ^= x10;
    x6 = (x6 << 7) | (x6 >>> 25);
    x3 = (x3 + x7) | 0;
    x15 ^= x3;
    x15 = (x15 << 16) | (x15 >>> 16);
    x11 = (x11 + x15) | 0;
    x7 ^= x11;
    x7 = (x7 << 12) | (x7 >>> 20);
    x3 = (x3 + x7) | 0;
    x15 ^= x3;
    x15 = (x15 << 8) | (x15 >>> 24);
    x11 = (x11 + x15) | 0;
    x7 ^= x11;
    x7 = (x7 << 7) | (x7 >>> 25);
    x0 = (x0 + x5) | 0;
    x15 ^= x0;
    x15 = (x15 << 16) | (x15 >>> 16);
    x10 = (x10 + x15) | 0;
    x5 ^= x10;
    x5 = (x5 << 12) | (x5 >>> 20);
    x0 = (x0 + x5) | 0;
    x15 ^= x0;
    x15 = (x15 << 8) | (x15 >>> 24);
    x10 = (x10 + x15) | 0;
    x5 ^= x10;
    x5 = (x5 << 7) | (x5 >>> 25);
    x1 = (x1 + x6) | 0;
    x12 ^= x1;
    x12 = (x12 << 16) | (x12 >>> 16);
    x11 = (x11 + x12) | 0;
    x6 ^= x11;
    x6 = (x6 << 12) | (x6 >>> 20);
    x1 = (x1 + x6) | 0;
    x12 ^= x1;
    x12 = (x12 << 8) | (x12 >>> 24);
    x11 = (x11 + x12) | 0;
    x6 ^= x11;
    x6 = (x6 << 7) | (x6 >>> 25);
    x2 = (x2 + x7) | 0;
    x13 ^= x2;
    x13 = (x13 << 16) | (x13 >>> 16);
    x8 = (x8 + x13) | 0;
    x7 ^= x8;
    x7 = (x7 << 12) | (x7 >>> 20);
    x2 = (x2 + x7) | 0;
    x13 ^= x2;
    x13 = (x13 << 8) | (x13 >>> 24);
    x8 = (x8 + x13) | 0;
    x7 ^= x8;
    x7 = (x7 << 7) | (x7 >>> 25);
    x3 = (x3 + x4) | 0;
    x14 ^= x3;
    x14 = (x14 << 16) | (x14 >>> 16);
    x9 = (x9 + x14) | 0;
    x4 ^= x9;
    x4 = (x4 << 12) | (x4 >>> 20);
    x3 = (x3 + x4) | 0;
    x14 ^= x3;
    x14 = (x14 << 8) | (x14 >>> 24);
    x9 = (x9 + x14) | 0;
    x4 ^= x9;
    x4 = (x4 << 7) | (x4 >>> 25);
  }
  out[at] = x0 + (s[0] ?? 0);
  out[at + 1] = x1 + (s[1] ?? 0);
  out[at + 2] = x2 + (s[2] ?? 0);
  out[at + 3] = x3 + (s[3] ?? 0);
  out[at + 4] = x4 + (s[4] ?? 0);
  out[at + 5] = x5 + (s[5] ?? 0);
  out[at + 6] = x6 + (s[6] ?? 0);
  out[at + 7] = x7 + (s[7] ?? 0);
  out[at + 8] = x8 + (s[8] ?? 0);
  out[at + 9] = x9 + (s[9] ?? 0);
  out[at + 10] = x10 + (s[10] ?? 0);
  out[at + 11] = x11 + (s[11] ?? 0);
  out[at + 12] = x12 + (s[12] ?? 0);
  out[at + 13] = x13 + (s[13] ?? 0);
  out[at + 14] = x14 + (s[14] ?? 0);
  out[at + 15] = x15 + (s[15] ?? 0);
}
