const view = new DataView(new ArrayBuffer(4));

/** Exponent e of a positive finite number x: 2^e <= x < 2^(e + 1). */
export function exponentOf(x: number): number {
  // The logarithm may round across a power of two.
  const guess = Math.floor(Math.log2(x));
  if (2 ** guess > x) return guess - 1;
  return 2 ** (guess + 1) <= x ? guess + 1 : guess;
}

/** Bit pattern of 2^exponent in float32; 0 where that is below the subnormals, the largest finite one where above. */
export function patternOfPower(exponent: number): number {
  if (exponent >= -126) return exponent > 127 ? 0x7f7fffff : (exponent + 127) << 23;
  return exponent < -149 ? 0 : 1 << (exponent + 149);
}

/** The float32 of a bit pattern. */
export function valueOfPattern(pattern: number): number {
  view.setInt32(0, pattern);
  return view.getFloat32(0);
}

/** A positive weight as a float32: 24 bits, so that its products with float32 values are exact in float64. */
export interface ExactWeight {
  readonly value: number;
  /** 2^exponent <= value < 2^(exponent + 1). */
  readonly exponent: number;
  /** The value is a multiple of 2^lowBit. */
  readonly lowBit: number;
}

/**
 * Integers up to 2^24 are kept as they are; anything else (a larger count, a weight scaled for staleness) is rounded to
 * float32, a relative change of at most 2^-24, the same wherever and in whatever order it is used.
 *
 * @returns undefined for a weight that rounds to 0
 */
export function exactWeight(weight: number): ExactWeight | undefined {
  const value = Math.fround(weight);
  if (value === 0) return undefined;
  view.setFloat32(0, value);
  const pattern = view.getInt32(0);
  // A normal number has a bit above its fraction; subnormals lie on the grid of the lowest normal ones.
  const grid = Math.max(pattern >>> 23, 1) - 150;
  const bits = (pattern & 0x7fffff) | (pattern >>> 23 === 0 ? 0 : 0x800000);
  return { value, exponent: grid + 31 - Math.clz32(bits), lowBit: grid + 31 - Math.clz32(bits & -bits) };
}

/** bits of a positive integer. */
const bitLength = (x: bigint): number => {
  const hex = x.toString(16);
  return (hex.length - 1) * 4 + (32 - Math.clz32(parseInt(hex.charAt(0), 16)));
};

/**
 * The float32 nearest to numerator / denominator, ties to even; infinite above the range.
 *
 * @param denominator positive
 */
export function nearestFloat32(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0;
  const size = numerator < 0n ? -numerator : numerator;
  // The quotient lies in (2^(exponent - 1), 2^(exponent + 1)).
  const exponent = bitLength(size) - bitLength(denominator);
  // Two bits or more beyond the 24 (fewer for subnormals) are kept, and what is cut off after them is stuck to the last.
  const unit = Math.max(exponent - 27, -151);
  const scaled = unit < 0 ? size << BigInt(-unit) : size;
  const divisor = unit > 0 ? denominator << BigInt(unit) : denominator;
  const kept = scaled / divisor;
  const sticky = scaled % divisor === 0n ? kept : kept | 1n;
  // At most 29 bits: exact in float64, and so is the product; the only rounding is the last.
  const result = Math.fround(Number(sticky) * 2 ** unit);
  return numerator < 0n ? -result : result;
}
