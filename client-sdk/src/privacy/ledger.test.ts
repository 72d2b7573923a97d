import type { PlanId, PrivacyEvent, RunId } from "@fedlora/core";
import { createHash } from "node:crypto";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LedgerEntry, PrivacyLedger } from "./ledger.js";
import { openLedgerFile, readPrivacyLedger } from "./ledger-file.js";

const eventsOf = (count: number): readonly PrivacyEvent[] => [
  { mechanism: { kind: "sampled-gaussian", noiseMultiplier: 1, samplingRate: 0.1 }, count },
];
const entryOf = (changes: Partial<LedgerEntry> = {}): Omit<LedgerEntry, "id" | "state"> => ({
  atMs: 1_700_000_000_000,
  dataSet: "mail",
  coordinator: "127.0.0.1:7070",
  runId: "run-1" as RunId,
  round: 1,
  planId: "plan-1" as PlanId,
  kind: "train",
  mode: "example",
  events: eventsOf(10),
  ...changes,
});

describe("a ledger", () => {
  test("counts what is reserved, then what it really cost, and what was withdrawn not at all", async () => {
    const ledger = new PrivacyLedger();

    const first = await ledger.reserve(entryOf());
    const second = await ledger.reserve(entryOf({ dataSet: "photos" }));
    const third = await ledger.reserve(entryOf({ runId: "run-2" as RunId }));
    expect(ledger.events("mail")).toEqual([...eventsOf(10), ...eventsOf(10)]);
    await ledger.settle(first, eventsOf(7));
    await ledger.withdraw(third);

    expect(ledger.events("mail")).toEqual(eventsOf(7));
    expect(ledger.events("photos")).toEqual(eventsOf(10));
    expect(ledger.entries().map(({ id, state }) => [id, state])).toEqual([
      [first, "spent"],
      [second, "reserved"],
      [third, "withdrawn"],
    ]);
    expect(ledger.entries("photos")).toHaveLength(1);
  });

  test("settles or withdraws a reservation once", async () => {
    const ledger = new PrivacyLedger();
    const id = await ledger.reserve(entryOf());
    await ledger.settle(id, eventsOf(1));

    await expect(ledger.withdraw(id)).rejects.toMatchObject({
      code: "file-invalid",
      message: "privacy ledger: withdraw of entry 0, which is spent",
    });
    await expect(ledger.settle(id + 1, [])).rejects.toMatchObject({
      code: "file-invalid",
      message: "privacy ledger: settle of entry 1, which is unknown",
    });
    expect(ledger.events("mail")).toEqual(eventsOf(1));
  });

  test("says nothing that its log does not hold", async () => {
    const ledger = new PrivacyLedger({ append: () => Promise.reject(new Error("disk full")) });

    await expect(ledger.reserve(entryOf())).rejects.toThrow("disk full");

    expect(ledger.entries()).toEqual([]);
  });
});

describe("on disk", () => {
  let folder = "";
  const path = (): string => join(folder, "privacy-ledger.jsonl");
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "fedlora-ledger-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** A ledger with an entry in every state. */
  async function filled(): Promise<readonly LedgerEntry[]> {
    const ledger = await openLedgerFile(folder);
    await ledger.settle(await ledger.reserve(entryOf()), eventsOf(7));
    await ledger.withdraw(await ledger.reserve(entryOf({ mode: "local" })));
    await ledger.reserve(entryOf({ dataSet: 'with "quotes"\nand lines' }));
    return ledger.entries();
  }

  test("is the same after a restart, and goes on", async () => {
    const entries = await filled();

    const again = await openLedgerFile(folder);
    expect(again.entries()).toEqual(entries);
    expect(await readPrivacyLedger(folder)).toEqual(entries);
    await again.settle(2, eventsOf(3));

    expect((await readPrivacyLedger(folder))[2]).toMatchObject({ state: "spent", events: eventsOf(3) });
  });

  test("a folder without one has an empty one", async () => {
    expect(await readPrivacyLedger(folder)).toEqual([]);
  });

  test("after a crash at any byte what was acknowledged is there, and a line cut short is gone", async () => {
    const entries = await filled();
    const bytes = await readFile(path());
    const ends = [...bytes.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1);

    for (let length = 0; length <= bytes.byteLength; length += 41) {
      await writeFile(path(), bytes.subarray(0, length));
      const whole = ends.filter((end) => end <= length).length;

      const ledger = await openLedgerFile(folder);
      await ledger.reserve(entryOf({ dataSet: "after" }));

      expect((await readPrivacyLedger(folder)).at(-1)).toMatchObject({ dataSet: "after" });
      expect(ledger.entries("mail").map(({ state }) => state)).toEqual(
        [[], ["reserved"], ["spent"], ["spent", "reserved"], ["spent", "withdrawn"], ["spent", "withdrawn"]][whole],
      );
    }
    expect(entries).toHaveLength(3);
  });

  test("each line has a check, half of the SHA-256 over the check before it and its record", async () => {
    await filled();

    let before = "fedlora-privacy-ledger/1";
    for (const line of (await readFile(path(), "utf8")).trimEnd().split("\n")) {
      const [, check, record] = /^{"check":"([0-9a-f]{32})","record":(.*)}$/.exec(line)!;
      expect(check).toBe(createHash("sha256").update(`${before}\n${record!}`).digest("hex").slice(0, 32));
      before = check!;
    }
  });

  test.each<[string, (lines: string[]) => string[], number]>([
    ["a changed number", (lines) => lines.map((line) => line.replace('"count":7', '"count":1')), 2],
    ["a line taken out", (lines) => lines.slice(1), 1],
    ["a line put twice", (lines) => [lines[0]!, ...lines], 2],
    ["lines in another order", (lines) => [lines[1]!, lines[0]!, ...lines.slice(2)], 1],
    ["a line that is no JSON", (lines) => [...lines, "{"], 6],
  ])("%s is refused, the line is named, and the file stays as it is", async (_, change, line) => {
    await filled();
    const lines = (await readFile(path(), "utf8")).trimEnd().split("\n");
    await writeFile(path(), `${change(lines).join("\n")}\n`);
    const before = await readFile(path());

    const refusal = {
      code: "file-invalid",
      message: `the privacy ledger "${path()}" was damaged or changed in line ${line}; restore it from a backup`,
      details: { line: String(line) },
    };
    await expect(openLedgerFile(folder)).rejects.toMatchObject(refusal);
    await expect(readPrivacyLedger(folder)).rejects.toMatchObject(refusal);
    expect(await readFile(path())).toEqual(before);
  });

  test("can be read while a line is being written", async () => {
    const entries = await filled();
    await appendFile(path(), '{"check":"00');

    expect(await readPrivacyLedger(folder)).toEqual(entries);
  });
});
