import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layoutOf } from "../tensor/state-dict.js";
import type { StateDict, Tensor, TensorLayout } from "../tensor/tensor.js";
import { fromFloat32 } from "../tensor/values.js";
import { layoutArbitrary, valuesArbitrary } from "../testing/arbitraries.js";
import { validateUpdate } from "./validate-update.js";

const tensor = (values: number[], shape = [values.length]): Tensor => fromFloat32(Float32Array.from(values), shape);
const good = new Map([
  ["a", tensor([3, 0])],
  ["b", tensor([0, 4, 0, 0], [2, 2])],
]);
const layout: TensorLayout = layoutOf(good);
const check = (state: StateDict, maxNorm?: number): Promise<number> =>
  validateUpdate(layout, { entries: state, read: (name) => state.get(name)! }, maxNorm);

describe("an update", () => {
  test("of the right layout and finite values gives its norm", async () => {
    expect(await check(good)).toBe(5);
    expect(await check(new Map([...good].reverse()), 5)).toBe(5);
  });

  test("has the norm of all its values together", async () => {
    const source = layoutArbitrary(["F32"]).chain((specs) =>
      fc.tuple(fc.constant(specs), valuesArbitrary(specs, 1e18)),
    );
    await fc.assert(
      fc.asyncProperty(source, async ([specs, values]) => {
        const state = new Map(specs.map(({ name, shape }) => [name, fromFloat32(values.get(name)!, shape)]));
        const all = [...values.values()].flatMap((part) => [...part]);

        const norm = await validateUpdate(specs, { entries: state, read: (name) => state.get(name)! });

        const expected = Math.hypot(...all);
        expect(Math.abs(norm - expected)).toBeLessThanOrEqual(1e-12 * expected);
      }),
    );
  });

  test("is read one tensor at a time, and not at all when its layout is wrong", async () => {
    const reads: string[] = [];
    const read = (name: string): Promise<Tensor> => {
      reads.push(name);
      return Promise.resolve(good.get(name)!);
    };

    await validateUpdate(layout, { entries: good, read });
    await expect(validateUpdate(layout, { entries: new Map(), read })).rejects.toThrow();

    expect(reads).toEqual(["a", "b"]);
  });

  describe("in slices that share a buffer", () => {
    async function* slices({ bytes }: Tensor, cut: number): AsyncGenerator<Uint8Array> {
      const shared = new Uint8Array(cut);
      for (let at = 0; at < bytes.byteLength; at += cut) {
        const slice = bytes.subarray(at, at + cut);
        shared.set(slice);
        yield Promise.resolve(shared.subarray(0, slice.byteLength));
      }
    }
    const checkSlices = (state: StateDict, cut = 12): Promise<number> =>
      validateUpdate(layout, { entries: good, read: (name) => slices(state.get(name)!, cut) });

    test("gives the same norm", async () => {
      expect(await checkSlices(good)).toBe(5);
    });

    test.each<[string, Tensor, number, object]>([
      ["slices that cut a value in two", tensor([0, 4, 0, 0]), 6, { code: "tensor-invalid" }],
      ["slices that end too early", tensor([0, 4, 0]), 8, { code: "tensor-invalid" }],
      ["a NaN in a later slice", tensor([0, 4, 0, NaN]), 12, { details: { tensor: "b", index: "3" } }],
    ])("%s: refused", async (_, b, cut, refusal) => {
      await expect(checkSlices(new Map([...good, ["b", b]]), cut)).rejects.toMatchObject(refusal);
    });
  });

  test.each<[string, (state: Map<string, Tensor>) => unknown, string, RegExp]>([
    ["without a tensor", (s) => s.delete("b"), "update-tensor-missing", /tensor "b" is missing/],
    ["with one too many", (s) => s.set("c", tensor([1])), "update-tensor-unexpected", /tensor "c" is not expected/],
    [
      "with a wrong shape",
      (s) => s.set("b", tensor([0, 4, 0, 0])),
      "update-shape",
      /"b" has shape \[4\], expected \[2, 2\]/,
    ],
    [
      "with a wrong dtype",
      (s) => s.set("a", fromFloat32(Float32Array.of(3, 0), [2], "F16")),
      "update-dtype",
      /"a" has dtype F16, expected F32/,
    ],
    [
      "with a NaN",
      (s) => s.set("b", tensor([0, 4, NaN, 0], [2, 2])),
      "update-not-finite",
      /tensor "b" is NaN at index 2/,
    ],
    [
      "with an infinity",
      (s) => s.set("a", tensor([-Infinity, 0])),
      "update-not-finite",
      /tensor "a" is -Infinity at index 0/,
    ],
    [
      "with bytes missing",
      (s) => s.set("a", { ...tensor([1, 2]), bytes: new Uint8Array(4) }),
      "tensor-invalid",
      /needs 8 bytes, got 4/,
    ],
  ])("%s is refused by name", async (_, change, code, reason) => {
    const state = new Map(good);
    change(state);

    await expect(check(state)).rejects.toMatchObject({ code, message: expect.stringMatching(reason) });
  });

  test("above the bound on the norm is refused with both numbers", async () => {
    await expect(check(good, 4.9)).rejects.toMatchObject({
      code: "update-norm",
      details: { norm: "5", maxNorm: "4.9" },
    });
  });
});
