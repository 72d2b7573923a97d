const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
/** Index of the word with sign and exponent: 1 on every machine that JavaScript runs on today. */
const high = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0;

/**
 * ln x for normal positive x, near the last bit: x = m 2^e with m in [0.75, 1.5), ln m = 2 atanh((m - 1) / (m + 1)).
 * Only + - * /, which IEEE 754 fixes to the last bit, so every JavaScript engine gives the same; `Math.log` may differ.
 */
export function naturalLog(x: number): number {
  float[0] = x;
  const top = words[high] ?? 0;
  let exponent = (top >>> 20) - 1023;
  words[high] = (top & 0xfffff) | 0x3ff00000;
  let m = float[0];
  if (m >= 1.5) {
    m /= 2;
    exponent += 1;
  }
  const t = (m - 1) / (m + 1);
  let sum = 1 / 25;
  sum = sum * t * t + 1 / 23;
  sum = sum * t * t + 1 / 21;
  sum = sum * t * t + 1 / 19;
  sum = sum * t * t + 1 / 17;
  sum = sum * t * t + 1 / 15;
  sum = sum * t * t + 1 / 13;
  sum = sum * t * t + 1 / 11;
  sum = sum * t * t + 1 / 9;
  sum = sum * t * t + 1 / 7;
  sum = sum * t * t + 1 / 5;
  sum = sum * t * t + 1 / 3;
  sum = sum * t * t + 1;
  return exponent * Math.LN2 + 2 * t * sum;
}

/** e^-t for t in [0, 20], near the last bit and the same on every machine: t = k ln 2 + r, |r| <= ln 2 / 2. */
export function expOfMinus(t: number): number {
  const k = Math.round(t / Math.LN2);
  // The split of fdlibm: k times the first part is exact.
  const r = k * 6.9314718036912381649e-1 - t + k * 1.90821492927058770002e-10;
  let sum = 1;
  for (let n = 16; n >= 1; n -= 1) sum = 1 + (sum * r) / n;
  return sum / (1 << k);
}
