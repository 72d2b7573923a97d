/**
 * Conversions between float32 and the 16-bit floats, on raw bits, rounding to nearest with ties to even as IEEE 754
 * has it. NaN stays NaN (made quiet), infinities and signed zeros are kept, what is too large becomes an infinity.
 * Values in memory are little-endian, as on every platform that JavaScript runs on today.
 */

let halfTable: Uint32Array | undefined;

/** float32 bits of each of the 65,536 half-precision values; 256 KiB, made on first use. */
function halfToFloatBits(): Uint32Array {
  if (halfTable !== undefined) return halfTable;
  const table = new Uint32Array(65536);
  for (let half = 0; half < 65536; half += 1) table[half] = widenHalf(half);
  halfTable = table;
  return table;
}

function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // Subnormal: move the leading bit to the implicit place.
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}

/** Half-precision bits of float32 bits. */
export function narrowToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x38800000) {
    // 65520, half-way between the largest half (65504) and the next, rounds to infinity.
    if (magnitude >= 0x477ff000) return magnitude > 0x7f800000 ? sign | 0x7e00 : sign | 0x7c00;
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // At most 2^-25, half of the smallest subnormal half: rounds to zero.
  if (magnitude <= 0x33000000) return sign;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  return sign | (kept + (rest > middle || (rest === middle && (kept & 1) === 1) ? 1 : 0));
}

/** bfloat16 bits of float32 bits. */
export function narrowToBfloat(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Half-precision bits to float32 values; `out` has the length of `halves`. */
export function f16ToF32(halves: Uint16Array, out: Float32Array = new Float32Array(halves.length)): Float32Array {
  const table = halfToFloatBits();
  const target = bitsOf(out);
  for (let i = 0; i < halves.length; i += 1) target[i] = table[halves[i] ?? 0] ?? 0;
  return out;
}

/** float32 values to half-precision bits. */
export function f32ToF16(values: Float32Array, out = new Uint16Array(values.length)): Uint16Array {
  const source = bitsOf(values);
  for (let i = 0; i < source.length; i += 1) out[i] = narrowToHalf(source[i] ?? 0);
  return out;
}

/** bfloat16 bits to float32 values. */
export function bf16ToF32(halves: Uint16Array, out: Float32Array = new Float32Array(halves.length)): Float32Array {
  const target = bitsOf(out);
  for (let i = 0; i < halves.length; i += 1) target[i] = (halves[i] ?? 0) << 16;
  return out;
}

/** float32 values to bfloat16 bits. */
export function f32ToBf16(values: Float32Array, out = new Uint16Array(values.length)): Uint16Array {
  const source = bitsOf(values);
  for (let i = 0; i < source.length; i += 1) out[i] = narrowToBfloat(source[i] ?? 0);
  return out;
}
