import type { Tokenizer } from "@fedlora/client-sdk";
import { expect, test } from "vitest";
import { rememberingTokenizer } from "./remembering-tokenizer.js";

test("a text is split once for each way of splitting it, and nobody can change what is remembered", () => {
  const asked: unknown[] = [];
  const plain: Tokenizer = {
    padTokenId: 1,
    bosTokenId: undefined,
    eosTokenId: 2,
    encode: (text, options) => {
      asked.push([text, options]);
      return Array.from(text, (_, index) => index).slice(0, options?.maxTokens);
    },
    decode: (ids) => ids.join(),
  };
  const tokenizer = rememberingTokenizer(plain);
  tokenizer.encode("abc").push(9);
  expect(tokenizer.encode("abc")).toEqual([0, 1, 2]);
  expect(tokenizer.encode("abc", { maxTokens: 2 })).toEqual([0, 1]);
  expect(tokenizer.encode("abc", { maxTokens: 2, specialTokens: false })).toEqual([0, 1]);
  expect(tokenizer.encode("abc", { maxTokens: 2, specialTokens: true })).toEqual([0, 1]);
  expect(asked).toHaveLength(3);
  expect(tokenizer).toMatchObject({ padTokenId: 1, bosTokenId: undefined, eosTokenId: 2 });
  expect(tokenizer.decode([1, 2])).toBe("1,2");
});
