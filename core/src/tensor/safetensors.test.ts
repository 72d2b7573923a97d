import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FedLoraError } from "../errors.js";
import { stateDictArbitrary } from "../testing/arbitraries.js";
import { maxHeaderBytes, parseSafetensorsHeader } from "./safetensors-header.js";
import { planSafetensors, readSafetensors, writeSafetensors } from "./safetensors.js";
import { layoutOf, toStateDict } from "./state-dict.js";
import { fromFloat32, toFloat32 } from "./values.js";

const reference = new Uint8Array(
  readFileSync(new URL("../../../testdata/core/safetensors/reference.safetensors", import.meta.url)),
);

/** A file of the given header, text or object, and as many zero bytes of data. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  file.set(text, 8);
  return file;
}

const refusalOf = (file: Uint8Array): string => {
  try {
    readSafetensors(file);
  } catch (error) {
    expect(error).toBeInstanceOf(FedLoraError);
    expect((error as FedLoraError).code).toBe("safetensors-invalid");
    return (error as FedLoraError).message;
  }
  throw new Error("the file was accepted");
};
const f32 = (shape: unknown, data_offsets: unknown): object => ({ dtype: "F32", shape, data_offsets });

describe("the reference implementation's file", () => {
  test("reads", () => {
    const { tensors, metadata } = readSafetensors(reference);

    expect([...metadata]).toEqual([["format", "pt"]]);
    expect([...tensors.keys()]).toEqual([...tensors.keys()].sort());
    expect(tensors.size).toBe(10);
    expect([...toFloat32(tensors.get("b.weight")!)]).toEqual([0, 0.25, 0.5, 0.75, 1, 1.25]);
    expect([...toFloat32(tensors.get("a.weight")!)]).toEqual([1.5, -2]);
    expect([...toFloat32(tensors.get("small")!)]).toEqual([-3, 5]);
    expect(tensors.get("10")!.shape).toEqual([]);
    expect(tensors.get("empty")!.bytes.byteLength).toBe(0);
  });

  test("is written again, byte by byte", () => {
    const { tensors } = readSafetensors(reference);

    const written = writeSafetensors(tensors, { metadata: { format: "pt" } });

    expect(Buffer.from(written).equals(Buffer.from(reference))).toBe(true);
  });
});

describe("writing", () => {
  test("and reading gives the same tensors, whatever the order of insertion and the alignment", () => {
    fc.assert(
      fc.property(
        stateDictArbitrary(),
        fc.constantFrom(8, 64, 4096),
        fc.boolean(),
        (state, alignment, alignTensors) => {
          const file = writeSafetensors(state, { alignment, alignTensors, metadata: { b: "2", a: "1" } });
          const reversed = new Map([...state].reverse());

          const read = readSafetensors(file);

          expect(read.tensors).toEqual(toStateDict(state));
          expect([...read.metadata]).toEqual([
            ["a", "1"],
            ["b", "2"],
          ]);
          expect(writeSafetensors(reversed, { alignment, alignTensors, metadata: { a: "1", b: "2" } })).toEqual(file);
        },
      ),
    );
  });

  test("aligns the data, and each tensor when asked", () => {
    fc.assert(
      fc.property(stateDictArbitrary(), fc.constantFrom(16, 64), (state, alignment) => {
        const layout = layoutOf(state);

        const plain = planSafetensors(layout, { alignment });
        const aligned = planSafetensors(layout, { alignment, alignTensors: true });

        expect(plain.header.byteLength % alignment).toBe(0);
        expect(aligned.tensors.map(({ offset }) => offset % alignment)).toEqual(aligned.tensors.map(() => 0));
      }),
    );
  });

  test.each(["", "__metadata__", "__pad.0"])('refuses the name "%s"', (name) => {
    const state = new Map([[name, fromFloat32(Float32Array.of(1), [1])]]);

    expect(() => writeSafetensors(state)).toThrow(expect.objectContaining({ code: "safetensors-invalid" }));
  });

  test("refuses bytes that are not those of the shape", () => {
    const state = new Map([["w", { dtype: "F32" as const, shape: [2], bytes: new Uint8Array(4) }]]);

    expect(() => writeSafetensors(state)).toThrow(expect.objectContaining({ code: "tensor-invalid" }));
  });
});

describe("a bad file is refused with a reason:", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /at least 8 bytes/],
    ["seven bytes", new Uint8Array(7), /at least 8 bytes/],
    ["header beyond the file", reference.subarray(0, 100), /truncated/],
    ["data cut off", reference.subarray(0, reference.byteLength - 1), /truncated/],
    ["data after the end", Uint8Array.of(...reference, 0), /1 bytes after the last tensor/],
    ["header above the cap", Uint8Array.of(1, 0, 128, 0, 0, 0, 0, 0, 0x7b), /above the cap of 8388608/],
    ["header length of 2^63", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 128, 0x7b), /above the cap/],
    ["not JSON", fileOf("{oops}", 0), /not strict JSON/],
    ["string without an end", fileOf('{"a', 0), /expected a string/],
    ["bad escape", fileOf('{"\\x":{}}', 0), /bad character or escape/],
    ["a list", fileOf([], 0), /must be an object/],
    ["text after the object", fileOf("{} {}", 0), /unexpected text/],
    ["repeated key", fileOf('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{}}', 4), /"a" appears twice/],
    [
      "repeated inner key",
      fileOf('{"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}}', 4),
      /"dtype" appears twice/,
    ],
    ["__proto__ as a name", fileOf('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), /not allowed/],
    ["__proto__ in the metadata", fileOf('{"__metadata__":{"__proto__":"x"}}', 0), /not allowed/],
    ["metadata with a number", fileOf({ __metadata__: { a: 1 } }, 0), /must be a string/],
    ["metadata as a list", fileOf({ __metadata__: [] }, 0), /object of strings/],
    [
      "unknown dtype",
      fileOf({ a: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }, 1),
      /"a" has dtype "F8_E4M3"; known are F32/,
    ],
    ["dtype constructor", fileOf({ a: { dtype: "constructor", shape: [1], data_offsets: [0, 1] } }, 1), /has dtype/],
    ["no dtype", fileOf({ a: { shape: [1], data_offsets: [0, 1] } }, 1), /dtype nothing/],
    ["extra key", fileOf({ a: { ...f32([1], [0, 4]), strides: [1] } }, 4), /has the key "strides"/],
    ["fraction in the shape", fileOf({ a: f32([1.5], [0, 6]) }, 6), /1\.5 in its shape/],
    ["negative size", fileOf({ a: f32([-1], [0, 4]) }, 4), /-1 in its shape/],
    ["string in the shape", fileOf({ a: f32(["1"], [0, 4]) }, 4), /"1" in its shape/],
    ["shape not a list", fileOf({ a: f32(1, [0, 4]) }, 4), /list as shape/],
    ["huge size", fileOf('{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,4]}}', 4), /1e\+300 in its shape/],
    ["product overflow", fileOf({ a: f32([2 ** 50, 2 ** 50], [0, 4]) }, 4), /needs .* bytes/],
    ["product of 2^64, which wraps to 0", fileOf({ a: f32([2 ** 31, 2 ** 31], [0, 0]) }, 0), /needs .* bytes/],
    ["too many dimensions", fileOf({ a: f32(Array(17).fill(1), [0, 4]) }, 4), /17 dimensions/],
    ["offsets against shape", fileOf({ a: f32([2], [0, 4]) }, 4), /needs 8 bytes, its offsets give 4/],
    ["offsets reversed", fileOf({ a: f32([1], [4, 0]) }, 4), /needs 4 bytes, its offsets give -4/],
    ["three offsets", fileOf({ a: f32([1], [0, 4, 8]) }, 8), /two data_offsets/],
    ["overlap", fileOf({ a: f32([1], [0, 4]), b: f32([1], [2, 6]) }, 6), /"b" overlaps/],
    ["the same bytes twice", fileOf({ a: f32([1], [0, 4]), b: f32([1], [0, 4]) }, 4), /overlaps/],
    ["hole", fileOf({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12), /hole of 4 bytes before tensor "b"/],
    ["hole at the start", fileOf({ a: f32([1], [4, 8]) }, 8), /hole of 4 bytes/],
    ["empty name", fileOf({ "": f32([1], [0, 4]) }, 4), /1 to 1024 characters/],
    ["long name", fileOf({ ["n".repeat(1025)]: f32([1], [0, 4]) }, 4), /1 to 1024 characters/],
    ["deep nesting", fileOf("[".repeat(100_000), 0), /more than 32 levels/],
  ];

  test.each(cases)("%s", (_, file, reason) => {
    expect(refusalOf(file)).toMatch(reason);
  });

  test("bytes that are not UTF-8", () => {
    expect(refusalOf(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe))).toMatch(/not UTF-8/);
  });
});

describe("the header alone", () => {
  test("tells where the tensors lie", () => {
    const length = new DataView(reference.buffer, reference.byteOffset).getUint32(0, true);

    const header = parseSafetensorsHeader(reference.subarray(0, 8 + length), reference.byteLength);

    const entry = header.tensors.get("b.weight")!;
    const bytes = reference.slice(entry.offset, entry.offset + entry.byteLength);
    expect([...new Float32Array(bytes.buffer)]).toEqual([0, 0.25, 0.5, 0.75, 1, 1.25]);
  });

  test("hides padding tensors, which still must fit", () => {
    const pad = { dtype: "U8", shape: [4], data_offsets: [0, 4] };

    const { tensors } = readSafetensors(fileOf({ "__pad.0": pad, a: f32([1], [4, 8]) }, 8));

    expect([...tensors.keys()]).toEqual(["a"]);
    expect(refusalOf(fileOf({ "__pad.0": { ...pad, shape: [3] }, a: f32([1], [4, 8]) }, 8))).toMatch(/__pad\.0/);
  });

  test("may hold one string of nearly the cap", () => {
    const { metadata } = readSafetensors(fileOf({ __metadata__: { a: "\\".repeat(2 ** 21) } }, 0));

    expect(metadata.get("a")).toHaveLength(2 ** 21);
  });

  test("may be as long as the cap", () => {
    expect(readSafetensors(fileOf("{}".padEnd(maxHeaderBytes), 0)).tensors.size).toBe(0);
  });
});

describe("fuzzing: whatever the bytes, a file is read or refused with a code", () => {
  const survives = (file: Uint8Array): void => {
    try {
      const { tensors } = readSafetensors(file);
      for (const tensor of tensors.values()) expect(tensor.bytes.buffer).toBe(file.buffer);
    } catch (error) {
      if (!(error instanceof FedLoraError) || error.code !== "safetensors-invalid") throw error;
    }
  };

  test("random bytes behind a plausible length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 0, max: 500 }), (bytes, length) => {
        const file = Uint8Array.of(length & 255, length >> 8, 0, 0, 0, 0, 0, 0, 0x7b, ...bytes);
        survives(file);
        survives(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test("mutations of a valid file: bytes changed, cut off, repeated", () => {
    const edit = fc.tuple(fc.nat(reference.byteLength - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 6 }), fc.nat(reference.byteLength), fc.nat(40), (edits, cut, extra) => {
        const file = reference.slice();
        for (const [at, byte] of edits) file[at] = byte;
        survives(file);
        survives(file.slice(0, cut));
        survives(Uint8Array.of(...file, ...file.subarray(0, extra)));
      }),
      { numRuns: 2000 },
    );
  });

  test("JSON headers of the right words in the wrong places", () => {
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<unknown>("F32", "U8", 0, 4, 8, -1, 1e308, null, true, ""),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom("a", "__metadata__", "dtype", "shape", "data_offsets", "__pad.0"), tie("value")),
      ),
    }));
    fc.assert(
      fc.property(value, fc.nat(16), (header, size) => survives(fileOf(header, size))),
      { numRuns: 2000 },
    );
  });
});
