import { FedLoraError } from "@fedlora/core";
import type { Signer } from "@fedlora/proto";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { readIfPresent, replacePrivateFile } from "./client/durable-file.js";

/**
 * A client's own Ed25519 key pair. The private key never leaves the state folder; the client's id is derived from the
 * public one.
 */
export type Identity = Signer;

/**
 * Reads the key of a state folder, or makes it once (`identity.pem`, PKCS #8, readable by its owner only).
 * Throws `file-invalid` when the file is there but is no Ed25519 key: a new key would be another client.
 */
export async function loadOrCreateIdentity(folder: string): Promise<Identity> {
  const path = join(folder, "identity.pem");
  const pem = await readIfPresent(path);
  if (pem !== undefined) return fromPem(pem, path);
  const { privateKey } = generateKeyPairSync("ed25519");
  await replacePrivateFile(path, privateKey.export({ type: "pkcs8", format: "pem" }));
  return fromKey(privateKey);
}

/** A key pair that is kept nowhere: for tests and simulations. */
export function createEphemeralIdentity(): Identity {
  return fromKey(generateKeyPairSync("ed25519").privateKey);
}

function fromPem(pem: Buffer, path: string): Identity {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new FedLoraError("file-invalid", `"${path}" is not a private key in PEM format`, { cause });
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new FedLoraError(
      "file-invalid",
      `"${path}" holds a key of type ${String(key.asymmetricKeyType)}, not ed25519`,
    );
  }
  return fromKey(key);
}

function fromKey(privateKey: KeyObject): Identity {
  const { x } = createPublicKey(privateKey).export({ format: "jwk" });
  return {
    publicKey: Uint8Array.from(Buffer.from(x ?? "", "base64url")),
    sign: (message) => Uint8Array.from(sign(null, message, privateKey)),
  };
}
