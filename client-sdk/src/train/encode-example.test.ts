import { type TaskSpec, taskSchema } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { type Tokenizer, withSpecialTokens } from "../models/tokenizer/tokenizer.js";
import { createExampleEncoder } from "./encode-example.js";

/** One id per character (its code), BOS 1 in front, end token 2; "xy" is one token, 300. */
const tokenizer: Tokenizer = {
  padTokenId: 0,
  bosTokenId: 1,
  eosTokenId: 2,
  encode: (text, options = {}) => {
    const content = Array.from(text.replaceAll("xy", "\u012c"), (character) => character.codePointAt(0) ?? 0);
    return withSpecialTokens(content, [1], [], options.maxTokens ?? Number.POSITIVE_INFINITY);
  },
  decode: () => "",
};
const lm = (fields: object = {}): TaskSpec => taskSchema.parse({ kind: "causal-lm", maxTokens: 8, ...fields });
const encode = (task: TaskSpec, example: unknown) => createExampleEncoder(task, tokenizer, "d")(example, 4);
const code = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));

describe("language modelling", () => {
  test("a text: every token but the first is a target, no end is added", () => {
    expect(encode(lm(), { text: "abc" })).toEqual({
      tokens: [1, ...code("abc")],
      label: 0,
      targetStart: 1,
      numTargets: 3,
    });
  });

  test("a prompt is no target; the end token follows the completion", () => {
    expect(encode(lm(), { prompt: "ab", completion: "cd" })).toEqual({
      tokens: [1, ...code("abcd"), 2],
      label: 0,
      targetStart: 3,
      numTargets: 3,
    });
    expect(encode(lm({ maskPrompt: false }), { prompt: "ab", completion: "cd" })).toMatchObject({
      targetStart: 1,
      numTargets: 5,
    });
  });

  test("a token that spans the seam belongs to the completion", () => {
    expect(encode(lm(), { prompt: "ax", completion: "yb" })).toMatchObject({
      tokens: [1, 97, 300, 98, 2],
      targetStart: 2,
      numTargets: 3,
    });
  });

  test("what is too long loses its end, and the end token with it", () => {
    expect(encode(lm({ maxTokens: 5 }), { prompt: "ab", completion: "cdefg" })?.tokens).toEqual([1, ...code("abcd")]);
    expect(encode(lm({ maxTokens: 6 }), { prompt: "ab", completion: "cde" })?.tokens).toEqual([1, ...code("abcde")]);
  });

  test.each([
    ["an empty text", { text: "" }],
    ["a prompt that leaves no room", { prompt: "abcdefgh", completion: "i" }],
  ])("%s has nothing to learn from", (_, example) => {
    expect(encode(lm(), example)).toBeUndefined();
  });

  test.each([
    [{ prompt: "a" }, /"completion" must be a text, got undefined/],
    [{ text: null }, /"text" must be a text, got null/],
    [{}, /example 5 of data set "d": "text" must be a text/],
  ])("%j is refused", (example, message) => {
    expect(() => encode(lm(), example)).toThrow(message);
  });
});

describe("classification", () => {
  const task = taskSchema.parse({ kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 3 });

  test("labels by name or index; the text is cut", () => {
    expect(encode(task, { text: "abc", label: "spam" })).toEqual({
      tokens: [1, ...code("ab")],
      label: 1,
      targetStart: 0,
      numTargets: 1,
    });
    expect(encode(task, { text: "abc", label: 0 })?.label).toBe(0);
  });

  test.each(["Spam", 2, -1, 0.5, "1", undefined, null, true])("label %j is refused", (label) => {
    expect(() => encode(task, { text: "a", label })).toThrow(/is not one of ham, spam nor an index from 0 to 1/);
  });
});
