import { blobIdOf, chunkBytes, chunksOf } from "@fedlora/core";
import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFastClock } from "../testing/fast-clock.js";
import type { BlobReference } from "../transport/transport.js";
import { BlobCache } from "./blob-cache.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-cache-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const clock = createFastClock();
const open = (maxBytes = 2 ** 30): Promise<BlobCache> => BlobCache.open(folder, maxBytes, clock);
const bytesOf = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);
const refOf = (bytes: Uint8Array): BlobReference => ({ id: blobIdOf(bytes), size: bytes.byteLength });

async function store(cache: BlobCache, bytes: Uint8Array): Promise<BlobReference> {
  const ref = refOf(bytes);
  const partial = await cache.openPartial(ref);
  for (const { bytes: chunk } of chunksOf(bytes)) await partial.append(chunk);
  await partial.finish();
  await partial.close();
  await clock.sleep(1000);
  return ref;
}

test("what was stored is read, also after a restart, and nothing else is", async () => {
  const bytes = bytesOf(chunkBytes + 5, 1);
  const ref = await store(await open(), bytes);

  const again = await open();

  expect(Buffer.compare((await again.read(ref))!, bytes)).toBe(0);
  expect(await again.read(refOf(bytesOf(5, 2)))).toBeUndefined();
  expect(again.sizeBytes).toBe(ref.size);
});

test("a damaged file is a miss, and makes room for the right one", async () => {
  const cache = await open();
  const ref = await store(cache, bytesOf(1000, 1));
  const damaged = bytesOf(1000, 1);
  damaged[500] = 2;
  await writeFile(join(folder, ref.id), damaged);

  expect(await cache.read(ref)).toBeUndefined();
  expect(await readdir(folder)).toEqual([]);
});

test("a file is found where its bytes are right, counts as used then, and is dropped where they are damaged", async () => {
  const cache = await open(2500);
  const [first, second] = [await store(cache, bytesOf(1000, 1)), await store(cache, bytesOf(chunkBytes / 256, 2))];

  const path = await cache.file(first);
  await store(cache, bytesOf(1000, 3));

  expect(path).toBe(join(folder, first.id));
  expect(await cache.file(second)).toBeUndefined(); // evicted, for the first one was used after it
  await writeFile(path!, bytesOf(1000, 4));
  expect(await cache.file(first)).toBeUndefined();
  expect(await readdir(folder)).not.toContain(first.id);
  expect(await cache.file(refOf(bytesOf(5, 5)))).toBeUndefined();
});

test("a download goes on after its last whole chunk", async () => {
  const bytes = bytesOf(3 * chunkBytes + 7, 3);
  const ref = refOf(bytes);
  const first = await (await open()).openPartial(ref);
  await first.append(bytes.subarray(0, chunkBytes));
  await first.append(bytes.subarray(chunkBytes, 2 * chunkBytes));
  await first.close();
  await truncate(join(folder, `${ref.id}.part`), 2 * chunkBytes - 1); // torn by a crash

  const cache = await open();
  const second = await cache.openPartial(ref);
  const offset = second.offset;
  for (const { offset: at, bytes: chunk } of chunksOf(bytes)) if (at >= offset) await second.append(chunk);
  await second.finish();
  await second.close();

  expect(offset).toBe(chunkBytes);
  expect(Buffer.compare((await cache.read(ref))!, bytes)).toBe(0);
});

test("a download that does not add up to its id starts again from its first byte", async () => {
  const bytes = bytesOf(chunkBytes + 7, 3);
  const partial = await (await open()).openPartial(refOf(bytes));
  await partial.append(bytesOf(chunkBytes, 4));
  await partial.append(bytes.subarray(chunkBytes));

  await expect(partial.finish()).rejects.toMatchObject({ code: "blob-hash-mismatch" });
  expect(partial.offset).toBe(0);
  for (const { bytes: chunk } of chunksOf(bytes)) await partial.append(chunk);
  await expect(partial.finish()).resolves.toBeUndefined();
  await partial.close();
});

test("the least recently used blobs go when there are too many bytes, never the one that came last", async () => {
  const cache = await open(2500);
  const [a, b] = [await store(cache, bytesOf(1000, 1)), await store(cache, bytesOf(1000, 2))];
  await cache.read(a);
  await clock.sleep(1000);

  const c = await store(cache, bytesOf(1000, 3));
  expect([cache.has(a), cache.has(b), cache.has(c)]).toEqual([true, false, true]);
  expect(cache.sizeBytes).toBe(2000);

  const large = await store(await open(2500), bytesOf(5000, 4));
  expect(await readdir(folder)).toEqual([large.id]);
});

test("a name from the network never leaves the folder", async () => {
  const cache = await open();
  const ref = { id: "../../outside" as never, size: 1 };

  await expect(cache.read(ref)).rejects.toMatchObject({ code: "request-invalid" });
  await expect(cache.openPartial(ref)).rejects.toMatchObject({ code: "request-invalid" });
});
