import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FedLoraError } from "../errors.js";
import type { StateDict, TensorLayout } from "../tensor/tensor.js";
import { elementCount } from "../tensor/tensor.js";
import { toFloat32 } from "../tensor/values.js";
import { codecOf, openEncoded } from "./codec.js";
import { chooseCoding } from "./index-coding.js";

const layoutOf = (sizes: readonly number[]): TensorLayout =>
  sizes.map((size, i) => ({ name: `t${String(i).padStart(3, "0")}`, dtype: "F32", shape: [size] }));
const encode = (density: string, layout: TensorLayout, flat: ArrayLike<number>): StateDict => {
  const all = Float32Array.from(flat);
  return codecOf(`topk:${density}`).encode(layout, (name) => {
    const position = layout.findIndex((spec) => spec.name === name);
    const start = layout.slice(0, position).reduce((sum, { shape }) => sum + elementCount(shape), 0);
    return all.slice(start, start + elementCount(layout[position]!.shape));
  });
};
const decode = (density: string, layout: TensorLayout, encoded: StateDict): number[] => {
  const tensor = openEncoded(codecOf(`topk:${density}`).decoder(layout), encoded);
  return layout.flatMap(({ name }) => [...tensor(name)]);
};
const roundTrip = (density: string, flat: readonly number[]): number[] => {
  const layout = layoutOf([flat.length]);
  return decode(density, layout, encode(density, layout, flat));
};

/** FLASC's rule on a download and on an upload of a quarter, with the numbers of its published example. */
test("keeps what FLASC keeps: half of the parameters, a quarter of the change", () => {
  expect(roundTrip(".5", [0.5, -2, 0.1, 3].map(Math.fround))).toEqual([0, -2, 0, 3]);
  expect(roundTrip(".25", [-0.2, 0.5, -0.05, -0.1].map(Math.fround))).toEqual([0, 0.5, 0, 0]);
});

describe("over any tensors, at any density", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 6 });
  // Few distinct magnitudes, so that there are ties, beside any floats at all.
  const value = fc.oneof(fc.integer({ min: -4, max: 4 }), fc.float({ noNaN: true, noDefaultInfinity: true }));
  const density = fc.constantFrom("0.000001", ".01", "0.05", ".1", ".2", ".3", ".5", ".75", ".999999", "1");
  const cases = fc
    .tuple(sizes, density)
    .chain(([list, share]) =>
      fc.tuple(
        fc.constant(layoutOf(list)),
        fc.constant(share),
        fc.array(value, { minLength: list.reduce((a, b) => a + b), maxLength: list.reduce((a, b) => a + b) }),
      ),
    );

  test("the k largest come back exactly, ties to the lowest place, the rest is 0 and within the bound", () => {
    fc.assert(
      fc.property(cases, ([layout, share, flat]) => {
        const n = flat.length;
        const k = Math.min(n, Math.max(1, Math.round(Number(share) * n)));
        const order = flat.map((x, i) => ({ x, i })).sort((a, b) => Math.abs(b.x) - Math.abs(a.x) || a.i - b.i);
        const kept = new Set(order.slice(0, k).map(({ i }) => i));

        const decoded = decode(share, layout, encode(share, layout, flat));

        expect(decoded).toEqual(flat.map((x, i) => (kept.has(i) ? x : 0)));
        const bound = codecOf(`topk:${share}`).errorBound(Float32Array.from(flat));
        expect(bound).toBe(Math.abs(order[k]?.x ?? 0));
      }),
    );
  });

  test("tensors are decoded in any order, of several updates in turn", () => {
    fc.assert(
      fc.property(cases, fc.infiniteStream(fc.nat()), ([layout, share, flat], picks) => {
        const decoder = codecOf(`topk:${share}`).decoder(layout);
        const updates = [flat, flat.map((x) => -x).reverse()].map((values) => {
          const encoded = encode(share, layout, values);
          return { tensor: openEncoded(decoder, encoded), expected: decode(share, layout, encoded) };
        });
        for (let turn = 0; turn < 20; turn += 1) {
          const { tensor, expected } = updates[picks.next().value % 2]!;
          const position = picks.next().value % layout.length;
          const start = layout.slice(0, position).reduce((sum, { shape }) => sum + elementCount(shape), 0);
          const { name, shape } = layout[position]!;

          expect([...tensor(name)]).toEqual(expected.slice(start, start + elementCount(shape)));
        }
      }),
    );
  });
});

test("density 1 is exact", () => {
  const flat = [3, -1, 0, 2e-38, -5].map(Math.fround);

  expect(roundTrip("1", flat)).toEqual(flat);
});

test("long updates go through the window, whatever the coding", () => {
  const n = 300_000;
  const flat = Float32Array.from({ length: n }, (_, i) => Math.sin(i * i));
  for (const share of [".3", ".2", ".04", ".003", "0.000004"]) {
    const layout = layoutOf([1000, 150_000, n - 151_000]);
    const encoded = encode(share, layout, flat);

    const decoded = decode(share, layout, encoded);

    expect(decoded.filter((x) => x !== 0)).toEqual([...toFloat32(encoded.get("sparse.values")!)]);
    expect(decoded.every((x, i) => x === 0 || x === flat[i])).toBe(true);
  }
});

describe("what nothing encodes to is refused:", () => {
  const layout = layoutOf([10, 30]);
  const flat = Array.from({ length: 40 }, (_, i) => 100 - i);
  /** k = 4 of 40 as gaps of 4 bits, k = 20 as a bitmap; a list by hand, since it is cheapest for huge updates alone. */
  const replaced = (density: string, name: string, change: (bytes: Uint8Array) => void): (() => unknown) => {
    const encoded = new Map(encode(density, layout, flat));
    const bytes = encoded.get(name)!.bytes.slice();
    change(bytes);
    encoded.set(name, { ...encoded.get(name)!, bytes });
    return () => decode(density, layout, encoded);
  };
  const huge: TensorLayout = layoutOf([100_000, 100_000]);
  const listed = (...indices: number[]): (() => unknown) => {
    const share = "0.00001";
    const zero = new Float32Array(200_000);
    const encoded = new Map(encode(share, huge, zero));
    const bytes = new Uint8Array(Int32Array.from(indices).buffer);
    encoded.set("sparse.indices", { dtype: "I32", shape: [2], bytes });
    return () => decode(share, huge, encoded);
  };

  test.each<[string, string, () => unknown]>([
    ["gaps that go beyond the end", "sparse.gaps", replaced(".1", "sparse.gaps", (b) => b.fill(0xff))],
    ["gaps that go on after the last", "sparse.gaps", replaced(".1", "sparse.gaps", (b) => (b[b.length - 1] = 0x80))],
    ["a bitmap with a bit too many", "sparse.bitmap", replaced(".5", "sparse.bitmap", (b) => (b[4] = 1))],
    ["a bitmap with a bit too few", "sparse.bitmap", replaced(".5", "sparse.bitmap", (b) => (b[0] = 0x7f))],
    ["an index beyond the end", "sparse.indices", listed(5, 200_000)],
    ["indices that descend", "sparse.indices", listed(5, 4)],
    ["an index twice", "sparse.indices", listed(5, 5)],
    ["an index below 0", "sparse.indices", listed(-1, 5)],
  ])("%s", (_, tensor, use) => {
    expect(use).toThrow(expect.objectContaining({ code: "tensor-invalid", details: { tensor } }));
  });

  test("a bitmap with a bit beyond n", () => {
    const odd = layoutOf([7]);
    const encoded = new Map(encode(".5", odd, [7, 6, 5, 4, 3, 2, 1]));
    encoded.set("sparse.bitmap", { dtype: "U8", shape: [1], bytes: Uint8Array.of(0b10000111) });

    expect(() => decode(".5", odd, encoded)).toThrow(/goes on to index 7/);
  });

  test("an honest list is taken", () => {
    expect(listed(5, 199_999)).not.toThrow();
  });

  test("whatever bytes there are: values within the update, or tensor-invalid", () => {
    const densities = fc.constantFrom(".5", ".3", ".2", ".1", ".025");
    fc.assert(
      fc.property(densities, fc.infiniteStream(fc.oneof(fc.nat(255), fc.constant(0))), (share, stream) => {
        const encoded = new Map(encode(share, layout, flat));
        for (const [name, tensor] of encoded) {
          if (name === "sparse.values") continue;
          encoded.set(name, { ...tensor, bytes: tensor.bytes.map(() => stream.next().value as number) });
        }
        try {
          expect(decode(share, layout, encoded).filter((x) => x !== 0)).toHaveLength(
            elementCount(encoded.get("sparse.values")!.shape),
          );
        } catch (error) {
          if (!(error instanceof FedLoraError)) throw error;
          expect(error.code).toBe("tensor-invalid");
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the coding of indices", () => {
  test("is the cheapest, and follows from the sizes alone", () => {
    const kinds = [
      [64, 32, "bitmap"],
      [1024, 102, "gaps"],
      [10_000_000, 100, "indices"],
      [0, 0, "indices"],
    ] as const;

    for (const [n, k, kind] of kinds) expect(chooseCoding(n, k).coding.kind).toBe(kind);
    expect(chooseCoding(1024, 64).spec).toEqual({
      name: "sparse.gaps",
      dtype: "U8",
      shape: [Math.ceil((5 * (64 + Math.floor(960 / 31))) / 8)],
    });
  });

  test("of a sixteenth takes under 8 bits per value, a quarter of a list's", () => {
    const { spec } = chooseCoding(1_000_000, 62_500);

    expect(elementCount(spec.shape) / 62_500).toBeLessThan(0.94);
  });
});

test("a tensor whose name the codec needs is refused, and so are more values than 32 bits count", () => {
  const clash = [{ name: "sparse.gaps", dtype: "F32", shape: [1] }] as const;
  const huge = [{ name: "w", dtype: "F32", shape: [2 ** 16, 2 ** 15] }] as const;

  expect(() => codecOf("topk:.5").encodedLayout(clash)).toThrow(
    expect.objectContaining({ code: "tensor-invalid", details: { tensor: "sparse.gaps" } }),
  );
  expect(() => codecOf("topk:.5").decoder(clash)).toThrow(/needs for itself/);
  expect(() => codecOf("topk:.5").encodedLayout(huge)).toThrow(/at most 2147483647 values/);
});
