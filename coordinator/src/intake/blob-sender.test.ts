import { limits } from "@fedlora/proto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { refOf } from "../server/testing/harness.js";
import { openFileStorage, type FileStorage } from "../storage/file-storage.js";
import { sendBlob, type SentChunk } from "./blob-sender.js";

let folder = "";
let storage: FileStorage;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fedlora-sender-"));
  storage = await openFileStorage({ folder });
});
afterAll(async () => {
  await storage.close();
  rmSync(folder, { recursive: true });
});

const signal = new AbortController().signal;
const file = Buffer.from(
  Array.from({ length: 20 * limits.chunkBytes + 5 }, (_, index) => (index ^ (index >> 18)) & 255),
);

test("every chunk still has its bytes when six later ones were taken", async () => {
  const id = await storage.blobs.put(file);
  const held: SentChunk[] = [];
  const received: Buffer[] = [];

  await sendBlob(storage.blobs, { id, offset: 0, length: undefined }, file.byteLength, signal, async (chunk) => {
    held.push(chunk);
    // Time for the read ahead to fill its buffer.
    await delay(5);
    if (held.length === 7) received.push(Buffer.from(held.shift()!.data));
  });
  received.push(...held.map(({ data }) => Buffer.from(data)));

  expect(refOf(Buffer.concat(received))).toEqual({ id, size: file.byteLength });
});

test("an aborted download reads no further", async () => {
  const id = await storage.blobs.put(file);
  const controller = new AbortController();
  let sent = 0;

  const sending = sendBlob(
    storage.blobs,
    { id, offset: 0, length: undefined },
    file.byteLength,
    controller.signal,
    () => {
      sent += 1;
      if (sent === 3) controller.abort(new Error("gone"));
      return Promise.resolve();
    },
  );

  await expect(sending).rejects.toThrow("gone");
  expect(sent).toBe(3);
});

test("a blob that vanishes in the middle is an error, not a hang", async () => {
  const id = await storage.blobs.put(file);
  let sent = 0;

  const sending = sendBlob(storage.blobs, { id, offset: 0, length: undefined }, file.byteLength, signal, async () => {
    sent += 1;
    if (sent === 2) await storage.blobs.delete(id);
  });

  await expect(sending).rejects.toMatchObject({ code: "blob-not-found" });
});
