import { expect, test } from "vitest";
import { withoutNearDuplicates } from "./near-duplicates.js";

const long = "the quick brown fox jumps over the lazy dog while seven green frogs sing below a pale moon tonight again";

test("the first of two near-twins stays", () => {
  const texts = [long, `${long} and more`, "something else altogether is written here in other words"];
  expect(withoutNearDuplicates(texts)).toEqual([0, 2]);
});

test("case, digits and punctuation make no difference", () => {
  expect(withoutNearDuplicates([long, `>> 17: ${long.toUpperCase()}!!!`])).toEqual([0]);
});

test("texts that share a sentence are no twins", () => {
  const other = "a report on the budget of the county and what the council said of it in the spring session last year";
  expect(withoutNearDuplicates([`${long} ${other}`, `${other} ${other.split(" ").reverse().join(" ")}`])).toEqual([
    0, 1,
  ]);
});

test("short texts are compared too", () => {
  expect(withoutNearDuplicates(["hello", "hello", "good bye"])).toEqual([0, 2]);
});
