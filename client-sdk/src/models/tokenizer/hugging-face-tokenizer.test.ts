import { FedLoraError } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { miniLmFolder } from "../../testing/model-folders.js";
import { createHuggingFaceTokenizer } from "./hugging-face-tokenizer.js";

const readJson = (path: string | URL): unknown => JSON.parse(readFileSync(path, "utf8"));
const tokenizerJson = readJson(join(miniLmFolder, "tokenizer.json")) as Record<string, unknown>;
const golden = readJson(new URL("../../../../testdata/tokenizers/minilm-golden.json", import.meta.url)) as {
  cases: { text: string; ids: number[]; cut16: number[]; decoded: string }[];
};

const create = (tokenizer: unknown, tokenizerConfig?: unknown) =>
  createHuggingFaceTokenizer({
    tokenizer,
    tokenizerConfig,
    modelConfig: readJson(join(miniLmFolder, "config.json")),
    path: join(miniLmFolder, "tokenizer.json"),
  });
const miniLm = create(tokenizerJson);

/** The smallest byte-level BPE: every text is bytes, BOS in front. */
const byteLevel = create(
  {
    version: "1.0",
    added_tokens: [{ id: 0, content: "<s>", special: true, normalized: false }],
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } },
    },
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      vocab: { "<s>": 0, a: 1, b: 2, Ġ: 3, ab: 4, Ġab: 5 },
      merges: [
        ["a", "b"],
        ["Ġ", "ab"],
      ],
    },
  },
  { bos_token: { content: "<s>" }, eos_token: "<s>" },
);

describe("all-MiniLM-L6-v2 against the Rust library", () => {
  test.each(golden.cases)("gives its ids for $text", ({ text, ids, cut16, decoded }) => {
    expect(miniLm.encode(text)).toEqual(ids);
    expect(miniLm.encode(text, { maxTokens: 16 })).toEqual(cut16);
    expect(miniLm.decode(ids)).toBe(decoded);
  });
});

test("a long text's first ids are those of the whole text", () => {
  const text = golden.cases
    .map((entry) => entry.text)
    .join(" \n ")
    .repeat(3);
  const whole = miniLm.encode(text);

  const cut = miniLm.encode(text, { maxTokens: 40 });

  expect(cut).toEqual([...whole.slice(0, 39), 102]);
});

test("a long text that yields few ids is read to its end", () => {
  const text = `start${" \u0000".repeat(5000)} end`;

  expect(miniLm.encode(text, { maxTokens: 32 })).toEqual(miniLm.encode("start end"));
});

test("special tokens can be left out", () => {
  expect(miniLm.encode("a b", { specialTokens: false })).toEqual([1037, 1038]);
  expect(miniLm.encode("a b", { specialTokens: false, maxTokens: 1 })).toEqual([1037]);
});

test("a limit below the number of special tokens is kept", () => {
  expect(miniLm.encode("a b", { maxTokens: 1 })).toEqual([101]);
});

test("special ids come from tokenizer_config.json, and a prefix token alone is put in front", () => {
  expect(byteLevel.encode("ab ab")).toEqual([0, 4, 5]);
  expect(byteLevel.decode([0, 4, 5])).toBe("ab ab");
  expect([byteLevel.bosTokenId, byteLevel.eosTokenId]).toEqual([0, 0]);
  expect(byteLevel.decode([])).toBe("");
});

test.each([
  ["no object", 7],
  ["no model", { added_tokens: [] }],
  ["an unknown model", { ...tokenizerJson, model: { type: "Nonsense" } }],
])("%s is refused with the file's path", (_, tokenizer) => {
  expect(() => create(tokenizer)).toThrow(FedLoraError);
  expect(() => create(tokenizer)).toThrow(/tokenizer\.json/u);
});
