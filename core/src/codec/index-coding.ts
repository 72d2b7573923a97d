import type { TensorSpec } from "../tensor/tensor.js";

/** How k indices below n, in ascending order, are stored. Follows from n and k alone. */
export type IndexCoding =
  /** I32 [k]: the indices. */
  | { readonly kind: "indices" }
  /** U8 [ceil(n / 8)]: a bit per value, the lowest of a byte first; bits from n on are 0. */
  | { readonly kind: "bitmap" }
  /**
   * U8: symbols of `width` bits, packed from the lowest bit of a byte on. For each index, its distance to the end of the
   * one before: the escape, 2^width - 1, means "so many, and go on", any other symbol ends an index. The rest is 0.
   */
  | { readonly kind: "gaps"; readonly width: number };

/** The tensor of the values themselves. */
export const valuesName = "sparse.values";

/** Gaps are at most this wide, so that a symbol lies in three bytes; beyond it the list of indices is as small. */
const maxWidth = 16;

/** Most symbols that k indices below n need: the escapes cannot pass more than the n - k values left out. */
export function gapSymbols(n: number, k: number, width: number): number {
  return k + Math.floor((n - k) / (2 ** width - 1));
}

/** The coding of fewest bytes; of equal ones the simplest. */
export function chooseCoding(n: number, k: number): { readonly coding: IndexCoding; readonly spec: TensorSpec } {
  const spec = (name: string, dtype: TensorSpec["dtype"], length: number): TensorSpec => ({
    name: `sparse.${name}`,
    dtype,
    shape: [length],
  });
  let coding: IndexCoding = { kind: "indices" };
  let bytes = 4 * k;
  const bitmapBytes = Math.ceil(n / 8);
  if (bitmapBytes < bytes) {
    coding = { kind: "bitmap" };
    bytes = bitmapBytes;
  }
  for (let width = 1; width <= maxWidth; width += 1) {
    const gapBytes = Math.ceil((gapSymbols(n, k, width) * width) / 8);
    if (gapBytes >= bytes) continue;
    coding = { kind: "gaps", width };
    bytes = gapBytes;
  }
  return { coding, spec: coding.kind === "indices" ? spec("indices", "I32", k) : spec(coding.kind, "U8", bytes) };
}

/** @param indices ascending, below n */
export function encodeIndices(
  coding: IndexCoding,
  { shape: [length = 0] }: TensorSpec,
  indices: Int32Array,
): Uint8Array {
  if (coding.kind === "indices") return new Uint8Array(indices.buffer, indices.byteOffset, indices.byteLength);
  const bytes = new Uint8Array(length);
  if (coding.kind === "bitmap") {
    for (const index of indices) bytes[index >>> 3] = (bytes[index >>> 3] ?? 0) | (1 << (index & 7));
  } else {
    packGaps(bytes, coding.width, indices);
  }
  return bytes;
}

function packGaps(bytes: Uint8Array, width: number, indices: Int32Array): void {
  const escape = 2 ** width - 1;
  // Bits that wait for their byte to be full: fewer than 8, so that with a symbol they stay below 2^24.
  let bits = 0;
  let count = 0;
  let at = 0;
  const push = (symbol: number): void => {
    bits |= symbol << count;
    count += width;
    for (; count >= 8; count -= 8, bits >>>= 8) bytes[at++] = bits & 0xff;
  };
  let next = 0;
  for (const index of indices) {
    let gap = index - next;
    for (; gap >= escape; gap -= escape) push(escape);
    push(gap);
    next = index + 1;
  }
  if (count > 0) bytes[at] = bits;
}
