import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runSpecSchema } from "../run-spec/schema.js";
import { writeSafetensors } from "../tensor/safetensors.js";
import { layoutOf as layoutOfState, layoutsEqual } from "../tensor/state-dict.js";
import type { TensorLayout } from "../tensor/tensor.js";
import { codecFamilies, codecOf, openEncoded } from "./codec.js";

const layoutOf = (values: ArrayLike<number>): TensorLayout => [{ name: "w", dtype: "F32", shape: [values.length] }];
const roundTrip = (name: string, values: Float32Array): Float32Array => {
  const layout = layoutOf(values);
  const encoded = codecOf(name).encode(layout, () => values);
  return openEncoded(codecOf(name).decoder(layout), encoded)("w").slice();
};
const largestFloat = 3.4028234663852886e38;
/** Largest magnitude that a codec certainly takes; of the families that have parameters several. */
const largest: Readonly<Record<string, number>> = {
  f32: largestFloat,
  f16: 65504,
  bf16: 3.3895313892515355e38,
  int8: largestFloat * (1 - 2 ** -20),
  "int8:3": largestFloat * (1 - 2 ** -20),
  "topk:0.3": largestFloat,
  "topk:.05": largestFloat,
  "topk:1": largestFloat,
};
const families = Object.keys(largest).map((name) => codecOf(name).family);

test("every family is tested", () => {
  expect(new Set(families)).toEqual(new Set(codecFamilies.keys()));
});

describe.each(["f32", "f16", "bf16"])("codec %s", (name) => {
  test("gives each value back within the bound for it alone", () => {
    const value = fc.float({ min: -Math.fround(largest[name]!), max: Math.fround(largest[name]!), noNaN: true });
    fc.assert(
      fc.property(value, (x) => {
        const values = Float32Array.of(x);

        expect(Math.abs(roundTrip(name, values)[0]! - x)).toBeLessThanOrEqual(codecOf(name).errorBound(values));
      }),
    );
  });
});

describe.each(Object.keys(largest))("codec %s", (name) => {
  const codec = codecOf(name);

  test("gives values back within its bound, and rounded ones unchanged", () => {
    const value = fc.float({ min: -Math.fround(largest[name]!), max: Math.fround(largest[name]!), noNaN: true });
    fc.assert(
      fc.property(fc.array(value), (list) => {
        const values = Float32Array.from(list);

        const decoded = roundTrip(name, values);

        const bound = codec.errorBound(values);
        values.forEach((x, i) => expect(Math.abs(decoded[i]! - x)).toBeLessThanOrEqual(bound));
        // The largest value of a block may move by one float32 when its scale is taken again.
        if (codec.family !== "int8") expect(roundTrip(name, decoded)).toEqual(decoded);
      }),
    );
  });

  test("gives the same bytes for the same values, whatever the order of the layout", () => {
    const values = { a: Float32Array.of(1, -3, 0.5), b: Float32Array.of(2, 0, 3, -3), "a.b": Float32Array.of(0.25) };
    const layout = Object.entries(values).map(
      ([tensor, { length }]) => ({ name: tensor, dtype: "F32", shape: [length] }) as const,
    );
    const encodeAs = (order: TensorLayout): Uint8Array =>
      writeSafetensors(codec.encode(order, (tensor) => values[tensor as keyof typeof values]));

    expect(encodeAs(layout)).toEqual(encodeAs([...layout].reverse()));
    expect(layoutsEqual(codec.encodedLayout(layout), codec.encodedLayout([...layout].reverse()))).toBe(true);
  });

  test("takes no values, and no tensors", () => {
    expect(roundTrip(name, new Float32Array(0))).toHaveLength(0);
    expect(layoutOfState(codec.encode([], () => new Float32Array(0)))).toEqual(codec.encodedLayout([]));
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

test.each(["zip", "", "f32:", "f16:2", "int8:", "int8:0", "int8:064", "int8:64:64", "int8:100000", "int8:-1", "topk"])(
  "codec %j is refused with those that there are",
  (name) => {
    expect(() => codecOf(name)).toThrow(/is unknown, known are f32, f16, bf16, int8, topk/);
  },
);

test.each(["topk:", "topk:0", "topk:0.0", "topk:2", "topk:1.5", "topk:1e-3", "topk:-.5", "topk:.0000001", "topk:.1:2"])(
  "codec %j is refused, too",
  (name) => {
    expect(() => codecOf(name)).toThrow(expect.objectContaining({ code: "spec-invalid" }));
  },
);

test("a run spec takes a codec's name exactly when there is such a codec", () => {
  const { codec: field } = runSpecSchema.shape;
  const parameter = fc.stringMatching(/^[0-9.]{0,8}$/);
  const known = (name: string): boolean => {
    try {
      return codecOf(name).name === name;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(fc.constantFrom(...codecFamilies.keys(), "f8"), fc.option(parameter), (family, text) => {
      const name = text === null ? family : `${family}:${text}`;

      expect(field.safeParse(name).success).toBe(known(name));
    }),
    { numRuns: 2000 },
  );
});
