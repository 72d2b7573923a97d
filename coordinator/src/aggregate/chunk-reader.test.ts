import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blobIdOf, chunkBytes } from "@fedlora/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BlobFile } from "./aggregation.js";
import { ChunkReader } from "./chunk-reader.js";
import { FileChunks, sharedChunks } from "./file-chunks.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-chunks-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * i + (i >> 8)) & 0xff);
async function store(bytes: Uint8Array): Promise<BlobFile> {
  const path = join(folder, `blob-${bytes.byteLength}`);
  await writeFile(path, bytes);
  return { path, blobId: blobIdOf(bytes) };
}
const size = 3 * chunkBytes + 1000;

test.each([
  ["a file", store],
  ["memory", (bytes: Uint8Array) => Promise.resolve({ path: "", blobId: blobIdOf(bytes), bytes })],
])(
  "from %s: neighbouring ranges, in whichever order threads read them, give the bytes and hash each chunk once",
  async (_, make) => {
    const bytes = bytesOf(size);
    const blob = await make(bytes);
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: size - 1 }), { maxLength: 8 });
    fc.assert(
      fc.property(cuts, fc.infiniteStream(fc.nat(2)), (places, readers) => {
        const shared = sharedChunks([blob]);
        const threads = Array.from({ length: 3 }, () => {
          const [chunks] = FileChunks.all(shared);
          const reader = new ChunkReader();
          reader.open(blob, chunks!);
          return { reader, chunks: chunks! };
        });
        const ends = [...places.sort((a, b) => a - b), size];
        const ranges = ends.map((end, k) => [ends[k - 1] ?? 0, end] as const);
        for (const [start, end] of [...ranges, ...ranges]) {
          const { reader } = threads[readers.next().value as number]!;
          expect(Buffer.compare(reader.read(start, end), bytes.subarray(start, end))).toBe(0);
        }
        expect(threads[0]!.chunks.missing()).toEqual([]);
        for (const { reader, chunks } of threads) {
          chunks.assertBlob(blob);
          reader.close();
        }
      }),
      { numRuns: 100 },
    );
  },
);

test("bytes in memory that are not those of the id, or too few, are refused as a file's are", () => {
  const bytes = bytesOf(1000);
  const blob = { path: "", blobId: blobIdOf(bytes), bytes };
  const mismatch = expect.objectContaining({ code: "blob-hash-mismatch" }) as Error;
  const [chunks] = FileChunks.all(sharedChunks([blob]));
  const reader = new ChunkReader();
  reader.open({ ...blob, bytes: bytes.subarray(0, 999) }, chunks!);
  expect(() => reader.read(0, 1000)).toThrow(mismatch);
  reader.close();
  const changed = { ...blob, bytes: bytes.map((byte) => byte ^ 1) };
  expect(() => reader.verify(changed, FileChunks.all(sharedChunks([changed]))[0]!)).toThrow(mismatch);
});

describe("a file's digests", () => {
  test("are completed where ranges were left out", async () => {
    const blob = await store(bytesOf(size));
    const [chunks] = FileChunks.all(sharedChunks([blob]));
    const reader = new ChunkReader();
    reader.open(blob, chunks!);
    reader.read(chunkBytes + 5, chunkBytes + 9);
    expect(chunks!.missing()).toEqual([0, 1, 2, 3]);
    reader.read(2 * chunkBytes - 4, 2 * chunkBytes + 4);
    expect(chunks!.missing()).toEqual([0, 1, 3]);
    reader.close();
    reader.verify(blob, chunks!);
    expect(chunks!.missing()).toEqual([]);
    expect(() => reader.verify({ ...blob, blobId: "0".repeat(64) as BlobFile["blobId"] }, chunks!)).toThrow(
      expect.objectContaining({ code: "blob-hash-mismatch" }),
    );
  });

  test("of several files lie apart, one that is empty or missing among them", async () => {
    const blobs = await Promise.all([0, 10, chunkBytes + 1].map((length) => store(bytesOf(length))));
    const missing = { ...blobs[0]!, path: join(folder, "gone") };
    const all = FileChunks.all(sharedChunks([blobs[2]!, missing, ...blobs]));
    expect(all.map(({ size: bytes, count }) => [bytes, count])).toEqual([
      [chunkBytes + 1, 2],
      [undefined, 0],
      [0, 0],
      [10, 1],
      [chunkBytes + 1, 2],
    ]);
    const reader = new ChunkReader();
    [blobs[2]!, undefined, ...blobs].forEach((blob, k) => {
      if (blob !== undefined) reader.verify(blob, all[k]!);
    });
    expect(() => reader.verify(missing, all[1]!)).toThrow(expect.objectContaining({ code: "blob-not-found" }));
  });

  test("a file that got shorter is found", async () => {
    const blob = await store(bytesOf(5000));
    const [chunks] = FileChunks.all(sharedChunks([blob]));
    await writeFile(blob.path, bytesOf(4999));
    expect(() => new ChunkReader().verify(blob, chunks!)).toThrow(
      expect.objectContaining({ code: "blob-hash-mismatch" }),
    );
  });
});
