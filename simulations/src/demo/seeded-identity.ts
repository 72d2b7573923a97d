import { createHash, createPrivateKey } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** DER of a PKCS #8 Ed25519 key up to its 32 secret bytes (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Puts a client's key into its state folder, made when missing, before the client makes one of its own. A client's id, and
 * so its random streams, follow from the key: with equal names a run repeats bit for bit. Whoever knows the name knows the
 * key, so this is for simulations on one machine alone.
 */
export async function writeSeededIdentity(stateFolder: string, name: string): Promise<void> {
  const secret = createHash("sha256").update(`fedlora simulation: ${name}`).digest();
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, secret]), format: "der", type: "pkcs8" });
  await mkdir(stateFolder, { recursive: true, mode: 0o700 });
  await writeFile(join(stateFolder, "identity.pem"), key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
}
