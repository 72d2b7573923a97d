import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { storiesFolder } from "../../testing/model-folders.js";
import { createLlama2cTokenizer } from "./llama2c-tokenizer.js";

/** A file with the given pieces, after <unk>, <s>, </s> and the 256 bytes. */
function vocabularyFile(pieces: readonly (readonly [string, number])[]): Buffer {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const all = [...["<unk>", "\n<s>\n", "\n</s>\n", ...bytes].map((piece) => [piece, 0] as const), ...pieces];
  const records = all.map(([piece, score]) => {
    const text = Buffer.from(piece);
    const record = Buffer.alloc(8);
    record.writeFloatLE(score, 0);
    record.writeInt32LE(text.length, 4);
    return Buffer.concat([record, text]);
  });
  return Buffer.concat([Buffer.from([9, 0, 0, 0]), ...records]);
}
const pieces = [
  [" ", -9],
  ["a", -8],
  ["b", -7],
  ["c", -6],
  ["ab", -2],
  ["bc", -1],
  [" a", -3],
  ["é", -5],
] as const;
const file = vocabularyFile(pieces);
const size = 259 + pieces.length;
const id = (piece: string): number => 259 + pieces.findIndex(([text]) => text === piece);
const tokenizer = createLlama2cTokenizer(file, size, "tok.bin");

test("the best-scored pair merges first, after a space that stands before the text", () => {
  expect(tokenizer.encode("abc")).toEqual([1, id(" a"), id("bc")]);
  expect(tokenizer.encode("abc abc", { maxTokens: 4 })).toEqual([1, id(" a"), id("bc"), id(" a")]);
});

test("of equally scored pairs the first merges, as in run.c", () => {
  const tied = [...pieces.slice(0, 4), ["ab", -1], ["bc", -1]] as const;
  const other = createLlama2cTokenizer(vocabularyFile(tied), 259 + tied.length, "tok.bin");

  expect(other.encode("abc", { specialTokens: false })).toEqual([259, 259 + 4, 259 + 3]);
});

test("characters without a piece become bytes and come back", () => {
  const text = "a€ é\nz";

  const ids = tokenizer.encode(text, { specialTokens: false });

  expect(ids).toEqual([id(" a"), 3 + 0xe2, 3 + 0x82, 3 + 0xac, id(" "), id("é"), 3 + 10, 3 + 0x7a]);
  expect(tokenizer.decode([1, ...ids, 2])).toBe(text);
});

test("a vocabulary with pieces that span words merges over them", () => {
  const spanning = [...pieces, ["b a", -0.5], ["b ", -0.7]] as const;
  const other = createLlama2cTokenizer(vocabularyFile(spanning), 259 + spanning.length, "tok.bin");

  expect(other.encode("b a", { specialTokens: false })).toEqual([id(" "), 259 + pieces.length]);
});

test("nothing but BOS for an empty text", () => {
  expect(tokenizer.encode("")).toEqual([1]);
});

test.each([
  ["cut short", file.subarray(0, -1), size, /piece 266/u],
  ["longer than its vocabulary", Buffer.concat([file, Buffer.from([0])]), size, /1 bytes follow/u],
  ["too small for the vocabulary", file, size + 1, /ends within piece 267/u],
  ["absurdly large", file, 2 ** 30, /vocabulary of/u],
])("a file %s is refused", (_, bytes, vocabularySize, message) => {
  expect(() => createLlama2cTokenizer(bytes, vocabularySize, "tok.bin")).toThrow(message);
});

test.skipIf(storiesFolder === undefined)(
  "stories260K: a text of its own comes back (skipped without ../shared/data)",
  () => {
    const real = createLlama2cTokenizer(readFileSync(join(storiesFolder!, "tok512.bin")), 512, "tok512.bin");
    const text = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.";

    const ids = real.encode(text);

    expect(ids).toHaveLength(32);
    expect(real.decode(ids)).toBe(text);
  },
);
