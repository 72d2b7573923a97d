import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StateDict } from "../tensor/tensor.js";
import { fromFloat32 } from "../tensor/values.js";
import { codecOf, openEncoded } from "./codec.js";

const layout = [{ name: "w", dtype: "F32", shape: [5] }] as const;
const encode = (name: string, values: number[]): StateDict =>
  codecOf(name).encode(layout, () => Float32Array.from(values));
const decode = (name: string, encoded: StateDict): number[] => [
  ...openEncoded(codecOf(name).decoder(layout), encoded)("w"),
];

test("every value is within max |x| / 254 of its own block", () => {
  const value = fc.float({ noNaN: true, min: -(2 ** 99), max: 2 ** 99 });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 50 }), fc.integer({ min: 1, max: 60 }), (list, block) => {
      const values = Float32Array.from(list);
      const flat = [{ name: "w", dtype: "F32", shape: [values.length] }] as const;
      const codec = codecOf(`int8:${block}`);

      const decoded = openEncoded(
        codec.decoder(flat),
        codec.encode(flat, () => values),
      )("w");

      values.forEach((x, i) => {
        const start = i - (i % block);
        const bound = codec.errorBound(values.subarray(start, start + block));
        expect(Math.abs(decoded[i]! - x)).toBeLessThanOrEqual(bound);
      });
    }),
  );
});

test("a block of zeros has scale 0 and stays zeros, the one beside it does not matter", () => {
  const encoded = encode("int8:2", [0, -0, 254, -1, 3]);

  expect([...new Float32Array(encoded.get("w.scale")!.bytes.buffer)]).toEqual([0, 2, Math.fround(3 / 127)]);
  expect(decode("int8:2", encoded)).toEqual([0, 0, 254, 0, Math.fround(127 * Math.fround(3 / 127))]);
});

test("values too small for a scale in float32 become zeros or keep their sign, never more", () => {
  const tiny = 2 ** -149;

  expect(decode("int8", encode("int8", [tiny, -tiny, 0, 0, 0]))).toEqual([0, 0, 0, 0, 0]);
  expect(decode("int8", encode("int8", [200 * tiny, -200 * tiny, 0, 0, 0]))).toEqual([
    ...[127 * tiny * 2, -127 * tiny * 2, 0, 0, 0].map((x) => Math.sign(x) * Math.min(Math.abs(x), 200 * tiny)),
  ]);
});

test("a value that would come back as an infinity is refused, by its place", () => {
  const huge = 3.4028234663852886e38;

  expect(() => encode("int8", [1, 2, 3, Infinity, NaN])).toThrow(
    expect.objectContaining({ details: { tensor: "w", index: "3" } }),
  );
  const blocks = [huge, -huge, 3.4e38].map((largest) => {
    try {
      return decode("int8", encode("int8", [1, 2, largest, 3, 4]))[2]!;
    } catch (error) {
      expect(error).toMatchObject({ code: "update-not-finite", details: { tensor: "w", index: "2" } });
      return largest;
    }
  });
  expect(blocks.every(Number.isFinite)).toBe(true);
});

describe("an update that nothing encodes to", () => {
  const valid = encode("int8", [1, 2, 3, 4, 5]);

  test("with a negative scale is refused by tensor", () => {
    const bad = new Map(valid).set("w.scale", fromFloat32(Float32Array.of(-1), [1]));

    expect(() => decode("int8", bad)).toThrow(
      expect.objectContaining({ code: "tensor-invalid", details: { tensor: "w.scale" } }),
    );
  });

  test.each([NaN, Infinity])("with scale %d is not finite, so that whoever checks values finds it", (scale) => {
    const bad = new Map(valid).set("w.scale", fromFloat32(Float32Array.of(scale), [1]));

    expect(decode("int8", bad).some((value) => !Number.isFinite(value))).toBe(true);
  });
});

test("a tensor that has the name of another's scales is refused", () => {
  const clash = [...layout, { name: "w.scale", dtype: "F32", shape: [1] }] as const;

  for (const use of [
    () => codecOf("int8").encodedLayout(clash),
    () => codecOf("int8").encode(clash, () => new Float32Array(5)),
  ]) {
    expect(use).toThrow(expect.objectContaining({ code: "tensor-invalid", details: { tensor: "w.scale" } }));
  }
});
