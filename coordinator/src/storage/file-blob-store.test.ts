import { FedLoraError } from "@fedlora/core";
import type { BlobId } from "@fedlora/core";
import { ManualClock } from "@fedlora/core/testing";
import { describe, expect, test } from "vitest";

import { PowerLossFileSystem } from "../testing/power-loss-file-system.js";
import { appendAll, collect, expectCode, sampleBytes } from "../testing/storage-contract.js";
import { FileBlobStore } from "./file-blob-store.js";

const folders = { blobs: "/store/blobs", partials: "/store/partials" };

/** A store on a disk whose next `failures` syncs of the blobs' folder fail. */
async function openStore(): Promise<{ readonly store: FileBlobStore; readonly disk: { failures: number } }> {
  const fileSystem = new PowerLossFileSystem();
  const disk = { failures: 0 };
  await fileSystem.makeFolder(folders.blobs);
  await fileSystem.makeFolder(folders.partials);
  const sync = fileSystem.syncFolder.bind(fileSystem);
  fileSystem.syncFolder = (path) => {
    if (disk.failures === 0) return sync(path);
    disk.failures -= 1;
    return Promise.reject(new FedLoraError("internal", "the disk does not answer"));
  };
  return { store: new FileBlobStore(fileSystem, new ManualClock(0), folders), disk };
}

async function upload(store: FileBlobStore, id: BlobId, bytes: Uint8Array): Promise<BlobId> {
  const partial = await store.openPartial("plan", id, bytes.byteLength);
  await appendAll(partial, bytes);
  return partial.commit();
}

describe("a blob whose name could not be made durable", () => {
  test("is not there: it is put or uploaded once more", async () => {
    const bytes = sampleBytes(1000);
    const { store, disk } = await openStore();
    const id = await (await openStore()).store.put(bytes);
    disk.failures = 1;
    await expectCode("internal", store.put(bytes));
    expect(await store.has(id)).toBe(false);
    expect(await collect(store.list())).toEqual([]);
    disk.failures = 1;
    await expectCode("internal", upload(store, id, bytes));
    expect(await store.has(id)).toBe(false);

    expect(await upload(store, id, bytes)).toBe(id);
    expect(await store.read(id, 0, 1000)).toEqual(Buffer.from(bytes));
  });

  test("does not take a durable one of the same bytes with it", async () => {
    const bytes = sampleBytes(1000);
    const { store, disk } = await openStore();
    const id = await (await openStore()).store.put(bytes);
    const late = await store.openPartial("plan", id, bytes.byteLength);
    await appendAll(late, bytes);
    await store.put(bytes);
    disk.failures = 1;
    expect(await late.commit()).toBe(id);
    expect(await store.read(id, 0, 1000)).toEqual(Buffer.from(bytes));
  });
});
