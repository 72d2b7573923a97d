import { describe, expect, test } from "vitest";
import type { DType } from "./dtype.js";
import { itemSize } from "./dtype.js";
import type { Tensor } from "./tensor.js";
import { assertTensor, copyFloat32, firstNonFinite, fromFloat32, toFloat32 } from "./values.js";

const tensorOf = (dtype: DType, values: ArrayBufferView & { length: number }): Tensor => ({
  dtype,
  shape: [values.length],
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

/** The same tensor at an odd address, as a Buffer: its slice() would not copy. */
const misplaced = (tensor: Tensor): Tensor => {
  const buffer = Buffer.alloc(tensor.bytes.byteLength + 1);
  buffer.set(tensor.bytes, 1);
  return { ...tensor, bytes: buffer.subarray(1) };
};

const examples: [DType, Tensor, number[]][] = [
  ["F32", tensorOf("F32", Float32Array.of(1.5, -2)), [1.5, -2]],
  ["F16", tensorOf("F16", Uint16Array.of(0x3e00, 0xc000)), [1.5, -2]],
  ["BF16", tensorOf("BF16", Uint16Array.of(0x3fc0, 0xc000)), [1.5, -2]],
  ["F64", tensorOf("F64", Float64Array.of(0.1, -2)), [Math.fround(0.1), -2]],
  ["I32", tensorOf("I32", Int32Array.of(7, -2)), [7, -2]],
  ["I8", tensorOf("I8", Int8Array.of(7, -2)), [7, -2]],
  ["U8", tensorOf("U8", Uint8Array.of(7, 254)), [7, 254]],
];

describe("values as float32", () => {
  test.each(examples)("from %s, at an aligned and at an odd address", (_, tensor, expected) => {
    expect([...toFloat32(tensor)]).toEqual(expected);
    expect([...toFloat32(misplaced(tensor))]).toEqual(expected);
  });

  test.each(["I64", "BOOL"] as const)("are refused for %s", (dtype) => {
    const tensor = { dtype, shape: [1], bytes: new Uint8Array(itemSize[dtype]) };

    expect(() => toFloat32(tensor)).toThrow(expect.objectContaining({ code: "tensor-invalid" }));
  });

  test("share memory with the tensor only where asked", () => {
    const values = Float32Array.of(1, 2);
    const tensor = fromFloat32(values, [2]);

    expect(toFloat32(tensor).buffer).toBe(values.buffer);
    expect(copyFloat32(tensor).buffer).not.toBe(values.buffer);
    expect(copyFloat32(misplaced(tensor))).toEqual(values);
  });

  test("go back into a tensor of each float dtype", () => {
    const values = Float32Array.of(1.5, -2, 0, 4, 5, 6);
    for (const dtype of ["F32", "F16", "BF16"] as const) {
      const tensor = fromFloat32(values, [2, 3], dtype);

      expect(() => assertTensor("w", tensor)).not.toThrow();
      expect(tensor.dtype).toBe(dtype);
      expect(toFloat32(tensor)).toEqual(values);
    }
    expect(() => fromFloat32(values, [5])).toThrow(/\[5\] does not hold 6 values/);
  });

  test("respect a view into a larger array", () => {
    const part = Float32Array.of(0, 1, 2, 3).subarray(1, 3);

    expect([...toFloat32(fromFloat32(part, [2]))]).toEqual([1, 2]);
  });
});

describe("the first value that is not finite", () => {
  test.each([NaN, Infinity, -Infinity])("is found at its index: %d", (bad) => {
    for (const dtype of ["F32", "F16", "BF16"] as const) {
      const tensor = fromFloat32(Float32Array.of(1, -65504, bad, bad), [4], dtype);

      expect([firstNonFinite(tensor), firstNonFinite(misplaced(tensor))]).toEqual([2, 2]);
    }
    expect(firstNonFinite(tensorOf("F64", Float64Array.of(1, bad)))).toBe(1);
  });

  test("is -1 for finite values of every dtype, the largest and the integers among them", () => {
    for (const [, tensor] of examples) expect(firstNonFinite(tensor)).toBe(-1);
    expect(firstNonFinite(fromFloat32(Float32Array.of(3.4028234663852886e38, -0), [2]))).toBe(-1);
    const long = new Float32Array(9000).fill(3.4028234663852886e38);
    long[8191] = -Infinity;
    expect(firstNonFinite(fromFloat32(long, [9000]))).toBe(8191);
    expect(firstNonFinite(tensorOf("U8", Uint8Array.of(255, 127)))).toBe(-1);
  });
});

test("bytes that are not those of the shape are refused with the numbers", () => {
  const tensor = { dtype: "F32" as const, shape: [2, 3], bytes: new Uint8Array(20) };

  expect(() => assertTensor("w", tensor)).toThrow('tensor "w" of F32 [2, 3] needs 24 bytes, got 20');
});
