import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layoutArbitrary, stateDictArbitrary } from "../testing/arbitraries.js";
import { hashStateDict, hashTensorList } from "./hash.js";
import { canonicalLayout, layoutOf, layoutsEqual, toStateDict } from "./state-dict.js";
import type { TensorSpec } from "./tensor.js";
import { fromFloat32 } from "./values.js";

const spec = (name: string, shape: number[] = [1]): TensorSpec => ({ name, dtype: "F32", shape });

describe("canonical order", () => {
  test("is by code units: neither by locale nor by number", () => {
    const names = ["layer.10", "layer.2", "Z", "a", "ä", "_"];

    expect(canonicalLayout(names.map((name) => spec(name))).map(({ name }) => name)).toEqual([
      "Z",
      "_",
      "a",
      "layer.10",
      "layer.2",
      "ä",
    ]);
  });

  test("of a state dict is that of its layout", () => {
    fc.assert(
      fc.property(stateDictArbitrary(), (state) => {
        expect([...toStateDict(state).keys()]).toEqual(layoutOf(state).map(({ name }) => name));
      }),
    );
  });
});

describe("equality of layouts", () => {
  test("holds for the same tensors in another order, and for nothing else", () => {
    fc.assert(
      fc.property(layoutArbitrary(), layoutArbitrary(), (layout, other) => {
        expect(layoutsEqual(layout, [...layout].reverse())).toBe(true);
        expect(layoutsEqual(layout, other)).toBe(JSON.stringify(layout) === JSON.stringify(other));
      }),
    );
  });

  test.each([
    ["a missing tensor", [spec("a"), spec("b")], [spec("a")]],
    ["another name", [spec("a")], [spec("b")]],
    ["another shape", [spec("a", [2, 3])], [spec("a", [3, 2])]],
    ["more dimensions", [spec("a", [2])], [spec("a", [2, 1])]],
    ["another dtype", [spec("a")], [{ ...spec("a"), dtype: "F16" as const }]],
    ["a tensor twice", [spec("a"), spec("a")], [spec("a"), spec("b")]],
  ])("fails for %s", (_, a, b) => {
    expect([layoutsEqual(a, b), layoutsEqual(b, a)]).toEqual([false, false]);
  });
});

describe("the content hash", () => {
  const state = new Map([
    ["b.0", { dtype: "I8" as const, shape: [], bytes: Uint8Array.of(7) }],
    ["a", fromFloat32(Float32Array.of(0, 0), [2, 1])],
  ]);

  test("is that of Python's json and hashlib over the same list", () => {
    // rows = [["a","F32",[2,1],sha256(bytes(8)).hexdigest()],["b.0","I8",[],sha256(b"\x07").hexdigest()]]
    // sha256(json.dumps(rows,separators=(",",":")).encode()).hexdigest()
    expect(hashStateDict(state)).toBe("19d264b33698f8688cd3dfd734dafe8b53535a9a71cb78963926d7eac75558f0");
  });

  test("changes with a name, a dtype, a shape and a value, not with the order", () => {
    const rows = [...state].map(([name, { dtype, shape }]) => ({ name, dtype, shape, sha256: "00" }));
    const [first, second] = rows;
    const changed = [
      [{ ...first!, name: "c" }, second!],
      [{ ...first!, dtype: "U8" as const }, second!],
      [{ ...first!, shape: [1] }, second!],
      [{ ...first!, sha256: "01" }, second!],
      [first!],
    ];

    const hashes = new Set([rows, ...changed].map((list) => hashTensorList(list)));

    expect(hashes.size).toBe(6);
    expect(hashTensorList([...rows].reverse())).toBe(hashTensorList(rows));
  });
});
