import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./convert.js";

/** Rows of [float32 bits, half bits, bfloat16 bits], see testdata/core/convert/generate.py. */
const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/core/convert/rounding.json", import.meta.url), "utf8"),
) as { rows: [number, number, number][]; widened: [number, number][] };

const fromBits = (bits: readonly number[]): Float32Array => new Float32Array(Uint32Array.from(bits).buffer);
const isNaN16 = (half: number): boolean => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0;

describe("rounding to 16 bits", () => {
  test("agrees with numpy and ml_dtypes on borders, ties, subnormals and random values", () => {
    const values = fromBits(golden.rows.map(([bits]) => bits));
    const halves = f32ToF16(values);
    const bfloats = f32ToBf16(values);
    golden.rows.forEach(([bits, half, bfloat], i) => {
      expect([bits, halves[i], bfloats[i]]).toEqual([bits, half, bfloat]);
    });
  });

  test("keeps NaN a NaN, even one whose fraction bits would be cut off", () => {
    const nans = fromBits([0x7f800001, 0xff800001, 0x7fc00000, 0x7fffffff]);
    expect([...f32ToF16(nans)].every(isNaN16)).toBe(true);
    expect([...bf16ToF32(f32ToBf16(nans))].every(Number.isNaN)).toBe(true);
  });

  test("is off by at most half a unit in the last place", () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const [half] = f16ToF32(f32ToF16(Float32Array.of(value)));
        const [bfloat] = bf16ToF32(f32ToBf16(Float32Array.of(value)));
        expect(Math.abs(half! - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -11, 2 ** -25));
        expect(Math.abs(bfloat! - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -8, 2 ** -134));
      }),
    );
  });
});

describe("widening", () => {
  test("agrees with numpy on selected half values", () => {
    const widened = f16ToF32(Uint16Array.from(golden.widened.map(([half]) => half)));
    const bits = new Uint32Array(widened.buffer);
    golden.widened.forEach(([half, expected], i) => expect([half, bits[i]]).toEqual([half, expected]));
  });

  test("and narrowing again gives every one of the 65,536 values back", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const halves = f32ToF16(f16ToF32(all));
    const bfloats = f32ToBf16(bf16ToF32(all));
    const isNaNBfloat = (bits: number): boolean => (bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0;
    expect([...all].filter((bits) => !isNaN16(bits) && halves[bits] !== bits)).toEqual([]);
    expect([...all].filter((bits) => !isNaNBfloat(bits) && bfloats[bits] !== bits)).toEqual([]);
  });
});
