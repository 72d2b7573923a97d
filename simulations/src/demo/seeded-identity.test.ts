import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadOrCreateIdentity } from "@fedlora/client-sdk";
import { expect, onTestFinished, test } from "vitest";
import { writeSeededIdentity } from "./seeded-identity.js";

test("a client finds the key that its name gives, and no other", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-identity-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const keyOf = async (state: string, name: string): Promise<string> => {
    await writeSeededIdentity(join(folder, state), name);
    const { publicKey } = await loadOrCreateIdentity(join(folder, state));
    return Buffer.from(publicKey).toString("hex");
  };

  const key = await keyOf("a", "run/ada");

  expect(await keyOf("b", "run/ada")).toBe(key);
  expect(await keyOf("c", "run/chen")).not.toBe(key);
});
