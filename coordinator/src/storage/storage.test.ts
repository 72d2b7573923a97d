import { systemClock } from "@fedlora/core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PowerLossFileSystem } from "../testing/power-loss-file-system.js";
import { describeStorage } from "../testing/storage-contract.js";
import { openFileStorage } from "./file-storage.js";
import { MemoryMedium, openMemoryStorage } from "./memory-storage.js";

describeStorage("memory", () => {
  const medium = new MemoryMedium();
  return Promise.resolve({
    open: () => Promise.resolve(openMemoryStorage(medium)),
    dispose: () => Promise.resolve(),
  });
});

describeStorage("files", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-storage-"));
  return {
    open: () => openFileStorage({ folder, takeOver: true, segmentBytes: 600, retainBytes: 0, minFreeBytes: 0 }),
    dispose: () => rm(folder, { recursive: true }),
  };
});

describeStorage("files that lose power", () => {
  const fileSystem = new PowerLossFileSystem();
  return Promise.resolve({
    open: () =>
      openFileStorage({
        folder: "/store",
        fileSystem,
        takeOver: true,
        clock: systemClock,
        segmentBytes: 600,
        retainBytes: 0,
      }),
    dispose: () => Promise.resolve(),
  });
});
