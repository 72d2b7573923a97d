import { expect, test } from "vitest";
import { formatTable } from "./format-table.js";

test("numbers line up on the right and text on the left; what is not there is a dash", () => {
  const text = formatTable(
    ["name", "rounds"],
    [
      ["a", 5],
      ["long-name", 120],
      ["none", undefined],
    ],
    { rule: true },
  );
  expect(text.split("\n")).toEqual([
    "name       rounds",
    "---------  ------",
    "a               5",
    "long-name     120",
    "none            -",
  ]);
});

test("a column goes where it is told to, every line is indented and none ends in spaces", () => {
  const text = formatTable(
    ["", "F1", "note"],
    [
      ["federated", "0.9", ""],
      ["ada", "0.875", "alone"],
    ],
    { align: [undefined, "right"], indent: 2 },
  );
  expect(text.split("\n")).toEqual(["                F1  note", "  federated    0.9", "  ada        0.875  alone"]);
});

test("a table without rows is its titles; cells beyond them are left out", () => {
  expect(formatTable(["a", "b"], [])).toBe("a  b");
  expect(formatTable(["a"], [["x", "y"]])).toBe("a\nx");
});
