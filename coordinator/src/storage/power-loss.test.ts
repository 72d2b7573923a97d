import { blobIdOf as portableBlobIdOf, chunkBytes } from "@fedlora/core";
import type { BlobId } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { PowerLossFileSystem, PowerLost } from "../testing/power-loss-file-system.js";
import type { SurvivalMode } from "../testing/power-loss-file-system.js";
import { appendAll, collect, sampleBytes } from "../testing/storage-contract.js";
import { openFileStorage } from "./file-storage.js";
import type { FileStorage } from "./file-storage.js";

type Step =
  | { readonly kind: "append"; readonly count: number; readonly text: string }
  | { readonly kind: "concurrent"; readonly count: number }
  | { readonly kind: "put"; readonly size: number }
  | { readonly kind: "upload"; readonly size: number; readonly pauseAt: number }
  | { readonly kind: "snapshot" }
  | { readonly kind: "trim" }
  | { readonly kind: "delete" }
  | { readonly kind: "reopen" };

/** What the storage promised before the lights went out. */
interface Witness {
  readonly attempted: string[];
  acknowledged: number;
  trimmed: number;
  readonly blobs: Map<BlobId, Uint8Array>;
  readonly deleted: Set<BlobId>;
  snapshotBefore: number;
  snapshotAttempted: number;
}

const blobIdOf = (bytes: Uint8Array): BlobId => portableBlobIdOf(bytes, nodeSha256);

const open = (fileSystem: PowerLossFileSystem): Promise<FileStorage> =>
  openFileStorage({ folder: "/store", fileSystem, takeOver: true, segmentBytes: 700, retainBytes: 0 });

async function run(fileSystem: PowerLossFileSystem, steps: readonly Step[], witness: Witness): Promise<void> {
  let storage = await open(fileSystem);
  const append = async (texts: readonly string[]): Promise<void> => {
    const expected = witness.attempted.length;
    witness.attempted.push(...texts);
    const events = texts.map((text) => ({ type: "noted", text }));
    const sequence = await storage.journal.append(expected, storage.journal.epoch, events);
    witness.acknowledged = Math.max(witness.acknowledged, sequence);
  };
  for (const [index, step] of steps.entries()) {
    switch (step.kind) {
      case "append":
        await append(Array.from({ length: step.count }, (_, item) => `${step.text} ${index}.${item}`));
        break;
      case "concurrent": {
        const appends = Array.from({ length: step.count }, (_, item) => append([`together ${index}.${item}`]));
        // All are waited for: a rejection that nobody hears would end the test run.
        for (const result of await Promise.allSettled(appends)) if (result.status === "rejected") throw result.reason;
        break;
      }
      case "put": {
        const bytes = sampleBytes(step.size, index + 1);
        const id = await storage.blobs.put(bytes);
        witness.blobs.set(id, bytes);
        break;
      }
      case "upload": {
        const bytes = sampleBytes(step.size, index + 1);
        const id = blobIdOf(bytes);
        const first = await storage.blobs.openPartial(`plan-${index}`, id, step.size);
        await appendAll(first, bytes.subarray(0, step.pauseAt * chunkBytes));
        await first.release();
        const second = await storage.blobs.openPartial(`plan-${index}`, id, step.size);
        expect(second.nextOffset).toBe(Math.min(step.size, step.pauseAt * chunkBytes));
        await appendAll(second, bytes);
        await second.commit();
        witness.blobs.set(id, bytes);
        break;
      }
      case "snapshot": {
        const sequence = storage.journal.sequence;
        witness.snapshotAttempted = sequence;
        await storage.journal.writeSnapshot("run", { sequence, reducerVersion: 1, value: { sequence } });
        witness.snapshotBefore = sequence;
        break;
      }
      case "trim":
        witness.trimmed = witness.snapshotBefore;
        await storage.journal.trim(witness.snapshotBefore);
        break;
      case "delete": {
        const [id] = witness.blobs.keys();
        if (id === undefined) break;
        witness.deleted.add(id);
        await storage.blobs.delete(id);
        witness.blobs.delete(id);
        break;
      }
      case "reopen":
        await storage.close();
        storage = await open(fileSystem);
        break;
    }
  }
}

/** Opens what survived and holds it against every promise; then goes on writing, twice. */
async function check(disk: PowerLossFileSystem, witness: Witness): Promise<void> {
  for (const word of ["after", "once more"]) {
    const storage = await open(disk);
    const { journal, blobs } = storage;
    expect(journal.sequence).toBeGreaterThanOrEqual(witness.acknowledged);
    const events = await collect(journal.read(witness.trimmed));
    expect(events.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: journal.sequence - witness.trimmed }, (_, index) => witness.trimmed + index + 1),
    );
    expect(events.map(({ event }) => event["text"])).toEqual(
      witness.attempted.slice(witness.trimmed, journal.sequence),
    );
    const snapshot = await journal.readSnapshot("run");
    expect([witness.snapshotBefore, witness.snapshotAttempted]).toContain(snapshot?.sequence ?? 0);
    for (const [id, bytes] of witness.blobs) {
      if (witness.deleted.has(id) && !(await blobs.has(id))) continue;
      expect(blobIdOf(await blobs.read(id, 0, bytes.byteLength))).toBe(id);
    }
    for (const id of await collect(blobs.list())) {
      expect(blobIdOf(await blobs.read(id, 0, await blobs.size(id)))).toBe(id);
    }
    witness.attempted.length = journal.sequence;
    witness.attempted.push(word);
    witness.acknowledged = await journal.append(journal.sequence, journal.epoch, [{ type: "noted", text: word }]);
    // The next opening fences this one.
  }
}

async function crashAndCheck(
  steps: readonly Step[],
  crashAt: number,
  mode: SurvivalMode,
  keep: () => boolean,
): Promise<boolean> {
  const witness: Witness = {
    attempted: [],
    acknowledged: 0,
    trimmed: 0,
    blobs: new Map(),
    deleted: new Set(),
    snapshotBefore: 0,
    snapshotAttempted: 0,
  };
  const fileSystem = new PowerLossFileSystem(crashAt);
  await run(fileSystem, steps, witness).catch((thrown: unknown) => {
    // The storage wraps what it does not know as `internal` with the cause.
    const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown;
    if (!(cause instanceof PowerLost)) throw thrown;
  });
  const { hasCrashed } = fileSystem;
  await check(fileSystem.afterCrash(mode, keep), witness);
  return hasCrashed;
}

const script: readonly Step[] = [
  { kind: "append", count: 1, text: "first" },
  { kind: "concurrent", count: 5 },
  { kind: "put", size: 700 },
  { kind: "append", count: 3, text: "x".repeat(900) },
  { kind: "snapshot" },
  { kind: "concurrent", count: 3 },
  { kind: "trim" },
  { kind: "upload", size: chunkBytes + 900, pauseAt: 1 },
  { kind: "reopen" },
  { kind: "append", count: 2, text: "again" },
  { kind: "delete" },
  { kind: "snapshot" },
  { kind: "concurrent", count: 4 },
  { kind: "trim" },
  { kind: "append", count: 1, text: "last" },
];

describe("file storage after a crash at every operation of a script", () => {
  test.each(["strict", "process", "torn"] as const)("keeps its promises: %s", async (mode) => {
    let random = 7;
    const keep = (): boolean => {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      return random >>> 31 === 1;
    };
    let crashAt = 1;
    while (await crashAndCheck(script, crashAt, mode, keep)) crashAt += 1;
    // The script is long enough to be worth the name; the last round ran to its end.
    expect(crashAt).toBeGreaterThan(60);
  });
});

describe("file storage after a crash anywhere in any script", () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 4 }), text: fc.string() }),
    fc.record({ kind: fc.constant("concurrent" as const), count: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant("put" as const), size: fc.integer({ min: 0, max: 3000 }) }),
    fc.constant({ kind: "upload" as const, size: chunkBytes + 10, pauseAt: 1 }),
    fc.constantFrom<Step>({ kind: "snapshot" }, { kind: "trim" }, { kind: "delete" }, { kind: "reopen" }),
  );

  test("keeps its promises", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 120 }),
        fc.constantFrom<SurvivalMode>("strict", "torn", "process"),
        fc.infiniteStream(fc.boolean()),
        async (steps, crashAt, mode, coins) => {
          await crashAndCheck(steps, crashAt, mode, () => coins.next().value === true);
        },
      ),
      { numRuns: 150 },
    );
  });
});
