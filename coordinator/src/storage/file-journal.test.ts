import { describe, expect, test } from "vitest";

import { PowerLossFileSystem } from "../testing/power-loss-file-system.js";
import { collect, expectCode } from "../testing/storage-contract.js";
import { crc32c } from "./crc32c.js";
import { openFileStorage } from "./file-storage.js";
import type { FileStorage } from "./file-storage.js";
import { paddedRecordBytes } from "./record.js";
import { segmentHeaderBytes } from "./segment.js";

const folder = "/store";
const open = (fileSystem: PowerLossFileSystem, segmentBytes = 1 << 20): Promise<FileStorage> =>
  openFileStorage({ folder, fileSystem, takeOver: true, segmentBytes, retainBytes: 0 });
const event = (value: number): { type: string; value: number } => ({ type: "counted", value });
const recordBytes = paddedRecordBytes(JSON.stringify(event(1)).length);

async function segments(fileSystem: PowerLossFileSystem): Promise<string[]> {
  return (await fileSystem.list(`${folder}/journal`)).sort().map((name) => `${folder}/journal/${name}`);
}

async function appendOneByOne(storage: FileStorage, count: number): Promise<void> {
  const { journal } = storage;
  for (let value = 1; value <= count; value++) await journal.append(journal.sequence, journal.epoch, [event(value)]);
}

describe("crc32c", () => {
  // Origin: RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  test.each([
    ["123456789", Buffer.from("123456789", "latin1"), 0xe3069283],
    ["32 zeros", Buffer.alloc(32), 0x8a9136aa],
    ["32 ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
    ["0 to 31", Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
  ])("of %s", (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
    expect(crc32c(bytes.subarray(0, 5), bytes.subarray(5))).toBe(expected);
  });
});

describe("a damaged journal", () => {
  test("cuts a torn last record off, says so, and goes on", async () => {
    const disk = new PowerLossFileSystem();
    await appendOneByOne(await open(disk), 3);
    const [file] = await segments(disk);
    disk.flip(file!, segmentHeaderBytes + 2 * recordBytes + 70);

    const storage = await open(disk);

    expect(storage.tornTail).toEqual({ file: file!.split("/").at(-1), bytes: recordBytes, afterSequence: 2 });
    expect(storage.journal.sequence).toBe(2);
    await storage.journal.append(2, storage.journal.epoch, [event(33)]);
    const again = await open(disk);
    expect(again.tornTail).toBeUndefined();
    expect((await collect(again.journal.read(0))).map((stored) => stored.event["value"])).toEqual([1, 2, 33]);
  });

  test.each(Array.from({ length: recordBytes / 8 }, (_, index) => index * 8))(
    "names the record when byte %i of one in the middle is wrong",
    async (offset) => {
      const disk = new PowerLossFileSystem();
      await appendOneByOne(await open(disk), 4);
      const [file] = await segments(disk);
      disk.flip(file!, segmentHeaderBytes + recordBytes + offset);

      // The padding at a record's end is covered by no sum.
      if (offset >= 64 + JSON.stringify(event(1)).length) return;
      await expectCode("journal-corrupt", open(disk));
      await expect(open(disk)).rejects.toThrow(/record 2 in \S+\.journal at byte \d+/);
    },
  );

  test("refuses a segment that is missing, a segment out of another journal and a broken header", async () => {
    const disk = new PowerLossFileSystem();
    await appendOneByOne(await open(disk, 200), 6);
    const files = await segments(disk);
    expect(files.length).toBeGreaterThan(2);

    const hole = disk.afterCrash("process");
    await hole.remove(files[1]!);
    await expectCode("journal-corrupt", open(hole));

    const broken = disk.afterCrash("process");
    broken.flip(files[1]!, 3);
    await expectCode("journal-corrupt", open(broken));

    const other = new PowerLossFileSystem();
    const foreign = await open(other, 200);
    await foreign.journal.append(0, foreign.journal.epoch, [event(9), event(9)]);
    await appendOneByOne(foreign, 4);
    const mixed = disk.afterCrash("process");
    const theirs = await other.open((await segments(other))[1]!, "read");
    const bytes = new Uint8Array(await theirs.size());
    await theirs.read(bytes, 0);
    const ours = await mixed.open(files[1]!, "write");
    await ours.truncate(0);
    await ours.write([bytes], 0);
    await expectCode("journal-corrupt", open(mixed));
  });

  test("refuses a damaged snapshot", async () => {
    const disk = new PowerLossFileSystem();
    const { journal } = await open(disk);
    await journal.writeSnapshot("run", { sequence: 0, reducerVersion: 1, value: { a: "bbbb" } });
    const [file] = await disk.list(`${folder}/snapshots`);
    disk.flip(`${folder}/snapshots/${file!}`, (await disk.stat(`${folder}/snapshots/${file!}`))!.size - 4);
    await expectCode("journal-corrupt", (await open(disk)).journal.readSnapshot("run"));
  });
});

describe("a full disk", () => {
  test("fails what does not fit, loses nothing and recovers with the space", async () => {
    const disk = new PowerLossFileSystem();
    const { journal, blobs } = await open(disk);
    await journal.append(0, journal.epoch, [event(1)]);
    disk.capacityBytes = 150;
    const together = [journal.append(1, journal.epoch, [event(2)]), journal.append(2, journal.epoch, [event(3)])];
    const results = await Promise.allSettled(together);
    expect(results.map(({ status }) => status)).toContain("rejected");
    expect(journal.sequence).toBe(1 + results.filter(({ status }) => status === "fulfilled").length);
    await expectCode("storage-full", blobs.put(new Uint8Array(1000)));
    disk.capacityBytes = 1e6;
    const before = journal.sequence;
    expect(await journal.append(before, journal.epoch, [event(4)])).toBe(before + 1);
    await blobs.put(new Uint8Array(1000));

    const again = await open(disk.afterCrash("strict"));
    expect((await collect(again.journal.read(before))).map((stored) => stored.event["value"])).toEqual([4]);
  });
});

describe("grouped syncs", () => {
  test("many concurrent appends share a sync", async () => {
    const disk = new PowerLossFileSystem();
    const { journal } = await open(disk);
    await journal.append(0, journal.epoch, [event(0)]);
    const before = disk.operations;
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => journal.append(index + 1, journal.epoch, [event(index)])),
    );
    // One write and one sync.
    expect(disk.operations - before).toBe(2);
  });
});

describe("ownership", () => {
  test("refuses a second opening while the holder lives, lets it in after release or death", async () => {
    const disk = new PowerLossFileSystem();
    let isAlive = true;
    const processes = { self: () => ({ pid: 7, host: "here", startedAt: "1" }), isAlive: () => isAlive };
    const options = { folder, fileSystem: disk, processes };
    const first = await openFileStorage(options);
    await expectCode("storage-fenced", openFileStorage(options));
    expect(await first.healthy()).toBe(true);
    await first.close();
    const second = await openFileStorage(options);
    expect(second.journal.epoch).toBe(2);
    isAlive = false;
    const third = await openFileStorage(options);
    expect(third.journal.epoch).toBe(3);
    expect(await second.healthy()).toBe(false);
  });

  test("lets go of the folder when the journal cannot be opened", async () => {
    const disk = new PowerLossFileSystem();
    await appendOneByOne(await open(disk), 3);
    const [file] = await segments(disk);
    disk.flip(file!, segmentHeaderBytes + 8);
    await expectCode("journal-corrupt", open(disk));
    const processes = { self: () => ({ pid: 7, host: "here", startedAt: "1" }), isAlive: () => true };
    await expectCode("journal-corrupt", openFileStorage({ folder, fileSystem: disk, processes }));
  });
});
