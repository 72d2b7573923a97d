import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { pieces } from "./addresses.js";
import { parseCsv } from "./csv.js";
import { fileData } from "./file-data.js";
import type { SimulationData } from "./simulation-data.js";

const folder = mkdtempSync(join(tmpdir(), "fedlora-data-"));
afterAll(() => rmSync(folder, { recursive: true }));
const spec = { kind: "file", text: "text", heldOut: 0, test: 0.2 } as const;

function load(name: string, content: string, more: object = {}): Promise<SimulationData> {
  writeFileSync(join(folder, name), content);
  return fileData({ ...spec, path: name, ...more }, folder);
}

test("JSON lines: texts, labels in order of their names, all else keys", async () => {
  const data = await load(
    "a.jsonl",
    '{"text":"b","label":"y","from":"ann","n":3}\n\n{"text":"c","label":"x","from":"bob"}\n',
    {
      label: "label",
      key: "from",
    },
  );
  expect([data.numRows, data.labels, data.defaultKey]).toEqual([2, ["x", "y"], "from"]);
  expect(data.exampleOf(0)).toEqual({ text: "b", label: "y" });
  expect([data.labelOf(0), data.labelOf(1)]).toEqual([1, 0]);
  expect([...data.keys.keys()]).toEqual(["from", "n"]);
  expect(data.keys.get("from")!(1)).toBe("bob");
  expect(data.info.sha256).toMatch(/^[0-9a-f]{64}$/);
});

test("CSV with quotes; without a label column it is text to continue", async () => {
  const data = await load("a.csv", 'text,from\n"a, ""b""\nc",ann\r\nd,bob\n');
  expect(data.labels).toBeUndefined();
  expect([data.exampleOf(0), data.exampleOf(1)]).toEqual([{ text: 'a, "b"\nc' }, { text: "d" }]);
});

test.each([
  ["not JSON", "x.jsonl", "{", {}, "data-invalid", /x\.jsonl:1 is not JSON/],
  ["a list", "x.jsonl", "[]", {}, "data-invalid", /must be a JSON object/],
  [
    "a missing key column",
    "x.jsonl",
    '{"text":"a","from":"b"}',
    { key: "form" },
    "scenario-invalid",
    /data\.key: no record has a column "form"; columns are .*; did you mean "from"\?/,
  ],
  ["a missing text", "x.jsonl", '{"text":"a"}\n{"txt":"b"}', {}, "data-invalid", /x\.jsonl:2 has no "text"/],
  ["a short record", "x.csv", "text,from\na\n", {}, "data-invalid", /record 1 has 1 cells, the header 2/],
  ["an open quote", "x.csv", 'text\n"a\n', {}, "data-invalid", /quote is not closed/],
] as const)("%s is refused with its place", async (_, name, content, more, code, message) => {
  const loading = load(name, content, more);
  await expect(loading).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test("a file that is not there is refused", async () => {
  await expect(fileData({ ...spec, path: "none.jsonl" }, folder)).rejects.toMatchObject({ code: "file-missing" });
});

test("records of CSV", () => {
  expect(parseCsv("a,b\n1,\n", "x")).toEqual([
    ["a", "b"],
    ["1", ""],
  ]);
  expect(parseCsv("", "x")).toEqual([]);
  expect(parseCsv("a", "x")).toEqual([["a"]]);
});

test("addresses are cut at sentences, and nothing is lost", () => {
  const text = Array.from({ length: 30 }, (_, i) => `Sentence number ${i} has some words in it.`).join(" ");
  const cut = pieces(`  ${text}\n`);
  expect(cut.join(" ")).toBe(text);
  expect(cut.length).toBeGreaterThan(2);
  expect(cut.every((piece) => piece.endsWith("."))).toBe(true);
});
