import { fromFloat32, layoutOf, readSafetensors, validateUpdate, writeSafetensors } from "@fedlora/core";
import fc from "fast-check";
import { expect, test } from "vitest";
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

        const norm = await validate(refOf(file), { layout, maxNorm: undefined }).catch(
          (error: unknown) => (error as Error).message,
        );

        expect(norm).toBe(expected);
      },
    ),
    { numRuns: 40 },
  );
});

test("a blob of another size than announced is refused", async () => {
  const blobs = openMemoryStorage().blobs;
  const id = await blobs.put(Buffer.alloc(100));

  const verdict = createUpdateValidator(blobs)({ id, size: 99 }, { layout: [], maxNorm: undefined });

  await expect(verdict).rejects.toMatchObject({ code: "request-invalid" });
});
