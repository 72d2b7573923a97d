import { chunksOf } from "@fedlora/core";
import type { BlobId } from "@fedlora/core";
import type { BlobPiece, BlobReference } from "@fedlora/proto";
import { expect, test } from "vitest";
import { refOf } from "../server/testing/harness.js";
import { openMemoryStorage } from "../storage/memory-storage.js";
import { receiveBlob } from "./blob-receiver.js";

const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);

async function* pieces(blob: BlobReference | undefined, data: Uint8Array): AsyncGenerator<BlobPiece> {
  for (const chunk of chunksOf(data)) yield await Promise.resolve({ blob, data: chunk.bytes });
}

test("a blob that an operator sends is stored under its name, and may be sent again", async () => {
  const { blobs } = openMemoryStorage();

  const ref = await receiveBlob(blobs, pieces(refOf(bytes), bytes));
  await receiveBlob(blobs, pieces(refOf(bytes), bytes));

  expect(Buffer.from(await blobs.read(ref.id, 0, ref.size))).toEqual(Buffer.from(bytes));
});

test("bytes of another name, too few, or of no name are refused, and nothing is left", async () => {
  const { blobs } = openMemoryStorage();
  const other = { ...refOf(bytes), id: "ab".repeat(32) as BlobId };

  await expect(receiveBlob(blobs, pieces(other, bytes))).rejects.toMatchObject({ code: "blob-hash-mismatch" });
  await expect(receiveBlob(blobs, pieces(refOf(bytes), bytes.subarray(0, 262_144)))).rejects.toMatchObject({
    name: "FedLoraError",
  });
  await expect(receiveBlob(blobs, pieces(undefined, bytes))).rejects.toMatchObject({ code: "request-invalid" });
  expect(await blobs.has(refOf(bytes).id)).toBe(false);
});
