import { FedLoraError } from "@fedlora/core";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";

/**
 * The coordinator's Ed25519 private key, kept as PKCS 8 PEM in `coordinator-key.pem` of the storage folder and readable by its
 * owner only; made at the first start. Clients pin it, so it must outlive restarts. Throws `file-invalid`.
 */
export async function loadCoordinatorKey(folder: string): Promise<KeyObject> {
  const path = `${folder}/coordinator-key.pem`;
  await mkdir(folder, { recursive: true });
  const pem = (await readIfPresent(path)) ?? (await createKeyFile(folder, path));
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (thrown) {
    throw new FedLoraError("file-invalid", `${path} is not a private key`, { cause: thrown });
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw new FedLoraError(
    "file-invalid",
    `${path} holds a key of type ${key.asymmetricKeyType ?? "unknown"}, not ed25519`,
  );
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw FedLoraError.from(thrown);
  }
}

/** Written whole before it gets its name, so that no start ever reads half a key. */
async function createKeyFile(folder: string, path: string): Promise<string> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(pem);
    await file.sync();
  } finally {
    await file.close();
  }
  await link(temporary, path);
  await rm(temporary);
  const parent = await open(folder, "r");
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
  return pem;
}
