import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

import { expectCode } from "../testing/storage-contract.js";
import { loadCoordinatorKey } from "./coordinator-key.js";

test("the coordinator's key is made once, is its owner's alone, and is refused when it is no Ed25519 key", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-key-"));
  try {
    const key = await loadCoordinatorKey(folder);
    expect((await loadCoordinatorKey(folder)).equals(key)).toBe(true);
    const path = join(folder, "coordinator-key.pem");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await writeFile(path, "no key");
    await expectCode("file-invalid", loadCoordinatorKey(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
});
