import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layoutOf as layoutOfState } from "../tensor/state-dict.js";
import type { TensorLayout } from "../tensor/tensor.js";
import { codecFamilies, codecOf } from "./codec.js";

const layoutOf = (values: ArrayLike<number>): TensorLayout => [{ name: "w", dtype: "F32", shape: [values.length] }];
const roundTrip = (name: string, values: Float32Array): Float32Array => {
  const layout = layoutOf(values);
  const encoded = codecOf(name).encode(layout, () => values);
  return codecOf(name).open(layout, (tensor) => encoded.get(tensor)!)("w");
};
const largest: Record<string, number> = { f32: 3.4028234663852886e38, f16: 65504, bf16: 3.3895313892515355e38 };

describe.each([...codecFamilies.keys()])("codec %s", (name) => {
  const codec = codecOf(name);

  test("gives every value back within its bound, and the same again", () => {
    const value = fc.float({ min: -Math.fround(largest[name]!), max: Math.fround(largest[name]!), noNaN: true });
    fc.assert(
      fc.property(fc.array(value), (list) => {
        const values = Float32Array.from(list);

        const decoded = roundTrip(name, values);

        values.forEach((x, i) => {
          expect(Math.abs(decoded[i]! - x)).toBeLessThanOrEqual(codec.errorBound(Float32Array.of(x)));
        });
        expect(roundTrip(name, decoded)).toEqual(decoded);
      }),
    );
  });

  test("encodes to the layout that it promises", () => {
    const values = Float32Array.of(1, 2, 3);

    const encoded = codec.encode(layoutOf(values), () => values);

    expect(layoutOfState(encoded)).toEqual(codec.encodedLayout(layoutOf(values)));
  });

  test.each([NaN, Infinity, -Infinity])("refuses %d by tensor and index", (bad) => {
    const values = Float32Array.of(0, bad);

    expect(() => codec.encode(layoutOf(values), () => values)).toThrow(
      expect.objectContaining({ code: "update-not-finite", details: { tensor: "w", index: "1" } }),
    );
  });
});

test("a value beyond the codec's range is refused, not sent as an infinity", () => {
  expect(() => roundTrip("f16", Float32Array.of(65520))).toThrow(/holds 65520 at index 0, which f16 cannot hold/);
  expect(roundTrip("f16", Float32Array.of(65519))).toEqual(Float32Array.of(65504));
  expect(() => roundTrip("bf16", Float32Array.of(3.4e38))).toThrow(/bf16 cannot hold/);
});

test("an unknown codec is refused with those that there are", () => {
  expect(() => codecOf("zip")).toThrow(/"zip" is unknown, known are f32, f16, bf16/);
});
