import { randomKey } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PartitionSpec } from "../scenario/partition-schema.js";
import { partitionRows, type Partition, type PartitionedRows } from "./partition.js";

const numLabels = 5;
const rowsOf = (count: number): PartitionedRows => ({
  rows: Int32Array.from({ length: count }, (_, row) => 10 * row),
  numLabels,
  labelOf: (row) => (row / 10) % numLabels,
  keys: new Map([
    ["sender", (row) => `s${(row / 10) % 7}`],
    ["list", (row) => `l${row % 3}`],
  ]),
  defaultKey: "sender",
});

const all = (partition: Partition): number[][] =>
  Array.from({ length: partition.clients }, (_, client) => [...partition.rowsOf(client)]);

const specs = (clients: number): PartitionSpec[] => [
  { kind: "iid", clients },
  { kind: "dirichlet", clients, alpha: 5 },
  { kind: "quantity", clients, alpha: 5 },
  { kind: "by-key", minExamples: 1 },
];

describe("without sharing", () => {
  test("every example has one owner, nobody is empty, and the seed decides", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 400 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(1000),
        (count, clients, seed) => {
          const data = rowsOf(count);
          for (const spec of specs(clients)) {
            const parts = all(partitionRows(spec, data, randomKey(seed)));
            expect(parts.every((rows) => rows.length > 0)).toBe(true);
            expect(parts.flat().sort((a, b) => a - b)).toEqual([...data.rows]);
            expect(all(partitionRows(spec, data, randomKey(seed)))).toEqual(parts);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test("another seed gives another partition", () => {
    for (const spec of specs(5).slice(0, 3)) {
      const [a, b] = [1, 2].map((seed) => all(partitionRows(spec, rowsOf(300), randomKey(seed))));
      expect(a).not.toEqual(b);
    }
  });

  test("IID shares differ by at most one example", () => {
    const sizes = all(partitionRows({ kind: "iid", clients: 7 }, rowsOf(100), randomKey(0))).map(
      ({ length }) => length,
    );
    expect(Math.max(...sizes) - Math.min(...sizes)).toBe(1);
  });

  test("a small alpha skews labels, a large one does not", () => {
    const skew = (alpha: number): number => {
      const data = rowsOf(5000);
      const parts = all(partitionRows({ kind: "dirichlet", clients: 10, alpha }, data, randomKey(3)));
      const largest = parts.map((rows) => {
        const counts = Array.from(
          { length: numLabels },
          (_, l) => rows.filter((row) => data.labelOf!(row) === l).length,
        );
        return Math.max(...counts) / rows.length;
      });
      return largest.reduce((a, b) => a + b, 0) / largest.length;
    };
    expect(skew(0.3)).toBeGreaterThan(0.45);
    expect(skew(1000)).toBeLessThan(0.25);
  });

  test("by key, the largest come first and the small ones are left out", () => {
    const data = { ...rowsOf(100), keys: new Map([["k", (row: number) => (row < 300 ? "a" : row < 900 ? "b" : "c")]]) };
    const partition = partitionRows({ kind: "by-key", key: "k", minExamples: 20 }, data, randomKey(0));
    expect([0, 1].map((client) => partition.nameOf(client))).toEqual(["b", "a"]);
    expect(all(partition).map(({ length }) => length)).toEqual([60, 30]);
  });
});

describe("drawn from all", () => {
  test("a million clients cost nothing, each has its examples and the same ones every time", () => {
    const spec: PartitionSpec = { kind: "dirichlet", clients: 1_000_000, alpha: 0.3, examplesPerClient: 32 };
    const partition = partitionRows(spec, rowsOf(500), randomKey(1));
    const rows = partition.rowsOf(999_999);
    expect(rows).toHaveLength(32);
    expect(partition.rowsOf(999_999)).toEqual(rows);
    expect(partition.rowsOf(999_998)).not.toEqual(rows);
    expect(new Set(partition.rowsOf(7)).size).toBeGreaterThan(28);
  });
});

describe("what cannot be is refused with its reason:", () => {
  test.each<[string, PartitionSpec, Partial<PartitionedRows>, string, RegExp]>([
    [
      "more clients than examples",
      { kind: "iid", clients: 31 },
      {},
      "partition-impossible",
      /31 are more than the 30 examples/,
    ],
    [
      "an empty client",
      { kind: "dirichlet", clients: 10, alpha: 0.01 },
      {},
      "partition-impossible",
      /of 10 clients would hold no example/,
    ],
    ["no data", { kind: "iid", clients: 1 }, { rows: new Int32Array(0) }, "partition-impossible", /no example/],
    [
      "no labels",
      { kind: "dirichlet", clients: 2, alpha: 1 },
      { labelOf: undefined },
      "scenario-invalid",
      /needs data with labels/,
    ],
    [
      "an unknown key",
      { kind: "by-key", key: "sendre", minExamples: 1 },
      {},
      "scenario-invalid",
      /"sendre" is no key of the data; keys are sender, list; did you mean "sender"\?/,
    ],
    [
      "no key at all",
      { kind: "by-key", minExamples: 1 },
      { defaultKey: undefined },
      "scenario-invalid",
      /key is missing/,
    ],
    [
      "too few examples by key",
      { kind: "by-key", minExamples: 99 },
      {},
      "partition-impossible",
      /0 of 7 values have the 99/,
    ],
    [
      "too few keys",
      { kind: "by-key", minExamples: 1, clients: 8 },
      {},
      "partition-impossible",
      /7 of 7 .* asks for 8/,
    ],
  ])("%s", (_, spec, changes, code, message) => {
    const run = (): Partition => partitionRows(spec, { ...rowsOf(30), ...changes }, randomKey(0));
    expect(run).toThrow(expect.objectContaining({ code }));
    expect(run).toThrow(message);
  });
});
