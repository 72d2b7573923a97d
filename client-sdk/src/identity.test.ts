import { verifyEd25519 } from "@fedlora/proto";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEphemeralIdentity, loadOrCreateIdentity } from "./identity.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-identity-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a key is made once, for its owner's eyes only, and signs", async () => {
  const first = await loadOrCreateIdentity(folder);
  const again = await loadOrCreateIdentity(folder);
  const message = new TextEncoder().encode("hello");

  expect(again.publicKey).toEqual(first.publicKey);
  expect(first.publicKey).toHaveLength(32);
  expect((await stat(join(folder, "identity.pem"))).mode & 0o777).toBe(0o600);
  expect(verifyEd25519(first.publicKey, message, again.sign(message))).toBe(true);
  expect(verifyEd25519(createEphemeralIdentity().publicKey, message, again.sign(message))).toBe(false);
});

test.each([
  ["no key", "not a key"],
  ["another kind of key", generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" })],
])("%s is refused and left as it is", async (_, content) => {
  await writeFile(join(folder, "identity.pem"), content);

  await expect(loadOrCreateIdentity(folder)).rejects.toMatchObject({ code: "file-invalid" });
});
