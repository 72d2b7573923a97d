import { loadBaseModel } from "@fedlora/client-sdk";
import { randomKey } from "@fedlora/core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { learnBytePairs } from "./byte-pairs.js";
import { writeUntrainedDecoder } from "./untrained-decoder.js";

test("the most frequent pair of neighbours merges first, within words alone", () => {
  // As in Sennrich et al. 2016, figure 1, where "</w>" ends a word: "es" 9 times, then "est", then "lo" 7 times, then "low".
  const words = [
    ...Array(5).fill("low"),
    ...Array(2).fill("lower"),
    ...Array(6).fill("newest"),
    ...Array(3).fill("widest"),
  ];
  expect(learnBytePairs(words, 257 + 4)).toEqual([
    ["e", "s"],
    ["es", "t"],
    ["l", "o"],
    ["lo", "w"],
  ]);
});

test("a pair that occurs once is not merged, and equal counts go by code units", () => {
  expect(learnBytePairs(["ab"], 300)).toEqual([]);
  expect(learnBytePairs(["cd", "ab", "cd", "ab"], 259)).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("the client's tokenizer takes the vocabulary, and every text comes back", async () => {
  const texts = ["the state of the union is strong", "the union, 1790: “the state”", "l'état, c'est 國情咨文\n\n  two"];
  const merges = learnBytePairs([...texts, ...texts], 400);
  const folder = await mkdtemp(join(tmpdir(), "fedlora-tokens-"));
  try {
    const size = { layers: 1, width: 16, heads: 1 as const, vocabulary: 257 + merges.length, maxTokens: 64 };
    const table = new Float32Array(size.vocabulary * size.width);
    await writeUntrainedDecoder(folder, size, { merges, tables: { embedding: table, head: table } }, randomKey(0));
    const { tokenizer } = await loadBaseModel(folder, { cacheFolder: folder });
    for (const text of texts) {
      const ids = tokenizer.encode(text);
      expect(tokenizer.decode(ids)).toBe(text);
      expect(ids.length).toBeLessThan(Buffer.byteLength(text));
    }
    // " the" was seen often enough to be a token, "the" only as part of it.
    expect(tokenizer.encode(" the the")).toHaveLength(2);
    expect(tokenizer.encode("")).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
