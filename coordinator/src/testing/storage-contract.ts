import { blobIdOf, chunkBytes, FedLoraError } from "@fedlora/core";
import type { ErrorCode } from "@fedlora/core";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";

import type { JournalEvent, Storage, StoredEvent } from "../storage/storage.js";

/** A place that one test may open again and again. */
export interface StorageMedium {
  /** Opens the place, fencing an opening that was not closed. */
  open(): Promise<Storage>;
  dispose(): Promise<void>;
}

const event = (value: number): JournalEvent => ({ type: "counted", runId: "run-1", value });

/** What every storage promises; see `storage.ts`. Register it in a test file: `describeStorage("memory", makeMedium)`. */
export function describeStorage(name: string, makeMedium: () => Promise<StorageMedium>): void {
  const withMedium = (body: (medium: StorageMedium) => Promise<void>) => async (): Promise<void> => {
    const medium = await makeMedium();
    const opened: Storage[] = [];
    const open = async (): Promise<Storage> => {
      const storage = await medium.open();
      opened.push(storage);
      return storage;
    };
    try {
      await body({ ...medium, open });
    } finally {
      // Those that were fenced or closed in the test refuse; what they hold open is released all the same.
      for (const storage of opened) await storage.close().catch(() => undefined);
      await medium.dispose();
    }
  };

  describe(`storage contract: ${name}: journal`, () => {
    test(
      "counts sequences from 1 without a gap and gives events back in order",
      withMedium(async (medium) => {
        const { journal } = await medium.open();
        expect(journal.sequence).toBe(0);
        expect(await journal.append(0, journal.epoch, [event(1), event(2)])).toBe(2);
        expect(await journal.append(2, journal.epoch, [event(3)])).toBe(3);
        expect(journal.sequence).toBe(3);
        expect(await collect(journal.read(0))).toEqual([1, 2, 3].map((value) => stored(value, journal.epoch)));
        expect((await collect(journal.read(2))).map(({ sequence }) => sequence)).toEqual([3]);
        expect(await collect(journal.read(3))).toEqual([]);
      }),
    );

    test(
      "takes appends that follow each other before the first is durable",
      withMedium(async (medium) => {
        const { journal } = await medium.open();
        const appends = Array.from({ length: 40 }, (_, index) =>
          journal.append(index, journal.epoch, [event(index + 1)]),
        );
        expect(await Promise.all(appends)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
        expect((await collect(journal.read(0))).map(({ event: { value } }) => value)).toEqual(
          Array.from({ length: 40 }, (_, index) => index + 1),
        );
      }),
    );

    test(
      "refuses an append that does not know the last sequence",
      withMedium(async (medium) => {
        const { journal } = await medium.open();
        await journal.append(0, journal.epoch, [event(1)]);
        await expectCode("journal-sequence", journal.append(0, journal.epoch, [event(2)]));
        await expectCode("journal-sequence", journal.append(2, journal.epoch, [event(2)]));
        expect(await journal.append(1, journal.epoch, [event(2)])).toBe(2);
      }),
    );

    test(
      "keeps events and snapshots over openings and raises the epoch",
      withMedium(async (medium) => {
        const first = await medium.open();
        await first.journal.append(0, first.journal.epoch, [event(1)]);
        await first.journal.writeSnapshot("run-1", {
          sequence: 1,
          reducerVersion: 3,
          value: { total: 1, ключ: [null] },
        });
        await first.close();
        const second = await medium.open();
        expect(second.journal.epoch).toBeGreaterThan(first.journal.epoch);
        expect(second.journal.sequence).toBe(1);
        await second.journal.append(1, second.journal.epoch, [event(2)]);
        expect((await collect(second.journal.read(0))).map(({ event: { value } }) => value)).toEqual([1, 2]);
        expect(await second.journal.readSnapshot("run-1")).toEqual({
          sequence: 1,
          reducerVersion: 3,
          value: { total: 1, ключ: [null] },
        });
        expect(await second.journal.readSnapshot("run-2")).toBeUndefined();
      }),
    );

    test(
      "replaces a snapshot of the same name",
      withMedium(async (medium) => {
        const { journal } = await medium.open();
        for (const total of [1, 2, 3]) {
          await journal.writeSnapshot("a/b ../c", { sequence: total, reducerVersion: 1, value: { total } });
        }
        expect((await journal.readSnapshot("a/b ../c"))?.value).toEqual({ total: 3 });
      }),
    );

    test(
      "fences the earlier opening: nothing of it is written any more",
      withMedium(async (medium) => {
        const first = await medium.open();
        await first.journal.append(0, first.journal.epoch, [event(1)]);
        const second = await medium.open();
        await expectCode("storage-fenced", first.journal.append(1, first.journal.epoch, [event(66)]));
        await expectCode(
          "storage-fenced",
          first.journal.writeSnapshot("x", { sequence: 1, reducerVersion: 1, value: 66 }),
        );
        await expectCode("storage-fenced", second.journal.append(1, first.journal.epoch, [event(66)]));
        expect(await first.healthy()).toBe(false);
        expect(await second.healthy()).toBe(true);
        await second.journal.append(1, second.journal.epoch, [event(2)]);
        expect((await collect(second.journal.read(0))).map(({ event: { value } }) => value)).toEqual([1, 2]);
        expect(await second.journal.readSnapshot("x")).toBeUndefined();
      }),
    );

    test(
      "keeps what comes after a trim",
      withMedium(async (medium) => {
        const { journal } = await medium.open();
        for (let value = 1; value <= 20; value++) await journal.append(value - 1, journal.epoch, [event(value)]);
        await journal.trim(12);
        const kept = await collect(journal.read(12));
        expect(kept.map(({ sequence }) => sequence)).toEqual([13, 14, 15, 16, 17, 18, 19, 20]);
        const again = await medium.open();
        expect(again.journal.sequence).toBe(20);
        expect(await collect(again.journal.read(12))).toEqual(kept);
      }),
    );

    test(
      "refuses appends after close",
      withMedium(async (medium) => {
        const storage = await medium.open();
        await storage.close();
        await expectCode("unavailable", storage.journal.append(0, storage.journal.epoch, [event(1)]));
      }),
    );
  });

  describe(`storage contract: ${name}: blobs`, () => {
    test(
      "stores bytes under the hash of their chunks' hashes and reads ranges",
      withMedium(async (medium) => {
        const { blobs } = await medium.open();
        const bytes = sampleBytes(chunkBytes + 1000);
        const id = await blobs.put(bytes);
        expect(id).toBe(blobIdOf(bytes));
        expect(await blobs.put(bytes)).toBe(id);
        expect(await blobs.has(id)).toBe(true);
        expect(await blobs.size(id)).toBe(bytes.byteLength);
        expect(equal(await blobs.read(id, 0, bytes.byteLength), bytes)).toBe(true);
        expect(equal(await blobs.read(id, chunkBytes - 3, 10), bytes.subarray(chunkBytes - 3, chunkBytes + 7))).toBe(
          true,
        );
        expect((await blobs.read(id, 5, 0)).byteLength).toBe(0);
        expect(await collect(blobs.list())).toEqual([id]);
        await expectCode("blob-range-invalid", blobs.read(id, bytes.byteLength - 1, 2));
        await expectCode("blob-range-invalid", blobs.read(id, -1, 2));
        await expectCode("blob-range-invalid", blobs.read(id, 0, 2 ** 50));
      }),
    );

    test(
      "says so when a blob is not there",
      withMedium(async (medium) => {
        const { blobs } = await medium.open();
        const id = await blobs.put(sampleBytes(10));
        await blobs.read(id, 0, 1);
        await blobs.delete(id);
        await blobs.delete(id);
        expect(await blobs.has(id)).toBe(false);
        await expectCode("blob-not-found", blobs.size(id));
        await expectCode("blob-not-found", blobs.read(id, 0, 1));
      }),
    );

    test.each([0, 1, chunkBytes, chunkBytes + 1, 9 * chunkBytes - 1])(
      "takes a blob of %i bytes chunk by chunk",
      (size) =>
        withMedium(async (medium) => {
          const { blobs } = await medium.open();
          const bytes = sampleBytes(size);
          const id = blobIdOf(bytes);
          const partial = await blobs.openPartial("plan-1", id, size);
          expect(partial.nextOffset).toBe(0);
          await appendAll(partial, bytes);
          expect(await blobs.has(id)).toBe(false);
          expect(await partial.commit()).toBe(id);
          expect(equal(await blobs.read(id, 0, size), bytes)).toBe(true);
          const again = await blobs.openPartial("plan-1", id, size);
          expect(again.nextOffset).toBe(size);
          expect(await again.commit()).toBe(id);
        })(),
    );

    test(
      "refuses a chunk at another offset or of another size",
      withMedium(async (medium) => {
        const { blobs } = await medium.open();
        const bytes = sampleBytes(chunkBytes + 10);
        const partial = await blobs.openPartial("plan-1", blobIdOf(bytes), bytes.byteLength);
        const chunk = bytes.subarray(0, chunkBytes);
        await expectCode("chunk-offset-invalid", partial.append(chunkBytes, bytes.subarray(chunkBytes), digest(chunk)));
        await expectCode("chunk-offset-invalid", partial.append(0, bytes.subarray(0, 10), digest(chunk)));
        await expectCode("chunk-offset-invalid", partial.commit());
        expect(await partial.append(0, chunk, digest(chunk))).toBe(chunkBytes);
        await expectCode("chunk-offset-invalid", partial.append(0, chunk, digest(chunk)));
        expect(partial.nextOffset).toBe(chunkBytes);
      }),
    );

    test(
      "refuses a blob whose chunks make another id, and forgets its bytes",
      withMedium(async (medium) => {
        const { blobs } = await medium.open();
        const bytes = sampleBytes(100);
        const announced = blobIdOf(sampleBytes(101));
        const partial = await blobs.openPartial("plan-1", announced, 100);
        await appendAll(partial, bytes);
        await expectCode("blob-hash-mismatch", partial.commit());
        expect(await blobs.has(announced)).toBe(false);
        expect((await blobs.openPartial("plan-1", announced, 100)).nextOffset).toBe(0);
      }),
    );

    test(
      "continues a partial blob after a restart",
      withMedium(async (medium) => {
        const first = await medium.open();
        const bytes = sampleBytes(5 * chunkBytes + 77);
        const id = blobIdOf(bytes);
        const partial = await first.blobs.openPartial("plan-1", id, bytes.byteLength);
        await appendAll(partial, bytes.subarray(0, 3 * chunkBytes));
        await partial.release();
        await first.close();
        const second = await medium.open();
        const resumed = await second.blobs.openPartial("plan-1", id, bytes.byteLength);
        expect(resumed.nextOffset).toBe(3 * chunkBytes);
        await appendAll(resumed, bytes);
        expect(await resumed.commit()).toBe(id);
        expect(equal(await second.blobs.read(id, 0, bytes.byteLength), bytes)).toBe(true);
      }),
    );

    test(
      "lets one opening of a partial blob be open at a time",
      withMedium(async (medium) => {
        const { blobs } = await medium.open();
        const bytes = sampleBytes(10);
        const partial = await blobs.openPartial("plan-1", blobIdOf(bytes), 10);
        await expectCode("upload-busy", blobs.openPartial("plan-1", blobIdOf(bytes), 10));
        await partial.discard();
        expect((await blobs.openPartial("plan-1", blobIdOf(bytes), 10)).nextOffset).toBe(0);
      }),
    );

    test(
      "sweeps partial blobs that nobody has open",
      withMedium(async (medium) => {
        const { blobs } = await medium.open();
        const bytes = sampleBytes(2 * chunkBytes);
        const id = blobIdOf(bytes);
        const left = await blobs.openPartial("left", id, bytes.byteLength);
        await appendAll(left, bytes.subarray(0, chunkBytes));
        await left.release();
        const open = await blobs.openPartial("open", id, bytes.byteLength);
        await appendAll(open, bytes.subarray(0, chunkBytes));
        expect(await blobs.sweepPartials(-60_000)).toBe(1);
        expect((await blobs.openPartial("left", id, bytes.byteLength)).nextOffset).toBe(0);
        await appendAll(open, bytes);
        expect(await open.commit()).toBe(id);
      }),
    );
  });

  describe(`storage contract: ${name}: secrets`, () => {
    test(
      "are there until they are erased, over openings",
      withMedium(async (medium) => {
        const first = await medium.open();
        await first.secrets.put("key-1", Uint8Array.of(1, 2, 3));
        await first.secrets.put("key-2", Uint8Array.of(4));
        await first.secrets.put("key-2", Uint8Array.of(5));
        expect(await first.secrets.read("key-1")).toEqual(Uint8Array.of(1, 2, 3));
        await first.close();
        const second = await medium.open();
        expect(await second.secrets.read("key-2")).toEqual(Uint8Array.of(5));
        await second.secrets.erase("key-1");
        await second.secrets.erase("key-1");
        expect(await second.secrets.read("key-1")).toBeUndefined();
        expect(await second.secrets.read("key-2")).toEqual(Uint8Array.of(5));
      }),
    );

    test(
      "that nobody names any more go together",
      withMedium(async (medium) => {
        const { secrets } = await medium.open();
        for (const key of ["a", "b", "c"]) await secrets.put(key, Uint8Array.of(1));
        await secrets.eraseExcept(new Set(["b"]));
        expect(await Promise.all(["a", "b", "c"].map((key) => secrets.read(key)))).toEqual([
          undefined,
          Uint8Array.of(1),
          undefined,
        ]);
      }),
    );
  });
}

/** Appends the chunks of a blob's bytes from the partial's next offset on. */
export async function appendAll(
  partial: { readonly nextOffset: number; append(o: number, c: Uint8Array, h: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let offset = partial.nextOffset; offset < bytes.byteLength; offset += chunkBytes) {
    const chunk = bytes.slice(offset, offset + chunkBytes);
    await partial.append(offset, chunk, digest(chunk));
  }
}

/** Bytes without a period that a shifted or repeated chunk could hide in. */
export function sampleBytes(size: number, seed = 1): Uint8Array {
  let state = seed >>> 0 || 1;
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function expectCode(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(FedLoraError);
  expect((thrown as FedLoraError).code).toBe(code);
}

function stored(value: number, epoch: number): StoredEvent {
  return { sequence: value, epoch, event: event(value) };
}

function digest(chunk: Uint8Array): Uint8Array {
  return createHash("sha256").update(chunk).digest();
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).equals(b);
}
