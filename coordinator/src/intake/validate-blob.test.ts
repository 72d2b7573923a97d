import {
  codecOf,
  elementCount,
  fromFloat32,
  layoutOf,
  openEncoded,
  readSafetensors,
  toStateDict,
  validateUpdate,
  writeSafetensors,
  type BlobId,
  type Tensor,
  type TensorLayout,
} from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refOf } from "../server/testing/harness.js";
import { openMemoryStorage } from "../storage/memory-storage.js";
import { createUpdateValidator } from "./validate-blob.js";

test("gives the same norm, bit for bit, as reading whole tensors", async () => {
  const blobs = openMemoryStorage().blobs;
  const validate = createUpdateValidator(blobs);
  const value = fc.float({ noNaN: true, noDefaultInfinity: true });
  await fc.assert(
    fc.asyncProperty(
      fc.array(value, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 30_000 }),
      fc.constantFrom("F32" as const, "BF16" as const),
      async (seeds, repeat, dtype) => {
        const values = Float32Array.from(
          { length: seeds.length * repeat },
          (_, i) => (seeds[i % seeds.length]! * i) / 1e6,
        );
        const state = new Map([
          ["b", fromFloat32(values, [values.length], dtype)],
          ["a", fromFloat32(values.slice(0, 3 % values.length), [3 % values.length], dtype)],
        ]);
        const file = writeSafetensors(state);
        await blobs.put(file);
        const { tensors } = readSafetensors(file);
        const layout = layoutOf(state);
        const source = { entries: tensors, read: (name: string) => tensors.get(name)! };
        const expected = await validateUpdate(layout, source).catch((error: unknown) => (error as Error).message);

        const ticket = { layout, values: layout, codec: dtype.toLowerCase(), maxNorm: undefined, frozen: [] };
        const norm = await validate(refOf(file), ticket).catch((error: unknown) => (error as Error).message);

        expect(norm).toBe(expected);
      },
    ),
    { numRuns: 40 },
  );
});

test("a blob of another size than announced is refused", async () => {
  const blobs = openMemoryStorage().blobs;
  const id = await blobs.put(Buffer.alloc(100));

  const verdict = createUpdateValidator(blobs)(
    { id, size: 99 },
    { layout: [], values: [], codec: "f32", maxNorm: undefined, frozen: [] },
  );

  await expect(verdict).rejects.toMatchObject({ code: "request-invalid" });
});

test("an update that was trained on other frozen tensors, or does not say on which, is refused", async () => {
  const blobs = openMemoryStorage().blobs;
  const state = new Map([["b", fromFloat32(Float32Array.of(1), [1])]]);
  const layout = layoutOf(state);
  const frozen = ["ab".repeat(32) as BlobId];
  const verdict = async (claimed?: string): Promise<number> => {
    const file = writeSafetensors(state, claimed === undefined ? {} : { metadata: { frozen: claimed } });
    await blobs.put(file);
    const ticket = { layout, values: layout, codec: "f32", maxNorm: undefined, frozen };
    return createUpdateValidator(blobs)(refOf(file), ticket);
  };

  expect(await verdict(frozen[0])).toBe(1);
  await expect(verdict("cd".repeat(32))).rejects.toMatchObject({ code: "update-frozen-mismatch" });
  await expect(verdict()).rejects.toMatchObject({ code: "update-frozen-mismatch" });
});

describe.each(["int8:5", "topk:.1", "topk:.5"])("an update in codec %s", (codec) => {
  const values: TensorLayout = [
    { name: "a", dtype: "F32", shape: [40, 30] },
    { name: "b", dtype: "F32", shape: [0] },
    { name: "c", dtype: "F32", shape: [300] },
  ];
  const valuesOf = (name: string): Float32Array =>
    Float32Array.from({ length: name === "a" ? 1200 : name === "b" ? 0 : 300 }, (_, i) => Math.sin(i + name.length));
  const honest = codecOf(codec).encode(values, valuesOf);
  const sparse = [...honest.keys()].find((name) => name !== "sparse.values" && name.startsWith("sparse."));

  /** The validator's word on the honest update with one tensor changed. */
  async function verdictOn(
    name: string,
    change: (tensor: Tensor) => Tensor | undefined,
    maxNorm?: number,
  ): Promise<number> {
    const blobs = openMemoryStorage().blobs;
    const changed = change(honest.get(name)!);
    const others = [...honest].filter(([other]) => other !== name);
    const file = writeSafetensors(toStateDict(changed === undefined ? others : [...others, [name, changed]]));
    await blobs.put(file);
    const ticket = { layout: codecOf(codec).encodedLayout(values), values, codec, maxNorm, frozen: [] };
    return createUpdateValidator(blobs)(refOf(file), ticket);
  }
  const unchanged = (tensor: Tensor): Tensor => tensor;
  const floats = (tensor: Tensor, value: number): Tensor => {
    const changed = new Float32Array(tensor.bytes.slice().buffer);
    changed[1] = value;
    return fromFloat32(changed, tensor.shape);
  };
  const numbers = sparse === undefined ? "a.scale" : "sparse.values";
  const places = sparse ?? "a";

  test("gives the norm of the decoded values", async () => {
    const tensor = openEncoded(codecOf(codec).decoder(values), honest);
    const squares = values.flatMap(({ name }) => [...tensor(name)]).reduce((sum, x) => sum + x * x, 0);

    const norm = await verdictOn(numbers, unchanged);

    expect(norm).toBe(Math.sqrt(squares));
    expect(norm).toBeGreaterThan(1);
    await expect(verdictOn(numbers, unchanged, norm * 0.999)).rejects.toMatchObject({ code: "update-norm" });
  });

  test.each([NaN, Infinity])("is refused with %d among its numbers", async (value) => {
    await expect(verdictOn(numbers, (tensor) => floats(tensor, value))).rejects.toMatchObject({
      code: "update-not-finite",
    });
  });

  test("is refused by its encoded layout, before anything is decoded", async () => {
    const longer = ({ dtype, shape, bytes }: Tensor): Tensor => {
      const length = elementCount(shape) + 1;
      const more = new Uint8Array(bytes.byteLength + bytes.byteLength / elementCount(shape));
      return { dtype, shape: [length], bytes: more };
    };
    const cases = [
      verdictOn(places, () => undefined),
      verdictOn(places, longer),
      verdictOn(places, ({ shape, bytes }) => ({ dtype: "BOOL", shape, bytes })),
    ];

    expect(
      (await Promise.allSettled(cases)).map(
        (one) => one.status === "rejected" && (one.reason as { code: string }).code,
      ),
    ).toEqual(["update-tensor-missing", "update-shape", "update-dtype"]);
  });

  test("that nothing encodes to is refused by the tensor that is wrong", async () => {
    const broken =
      sparse === undefined
        ? verdictOn("a.scale", (tensor) => floats(tensor, -1))
        : verdictOn(sparse, (tensor) => ({ ...tensor, bytes: tensor.bytes.map(() => 0xff) }));

    await expect(broken).rejects.toMatchObject({ code: "tensor-invalid", details: { tensor: sparse ?? "a.scale" } });
  });
});
