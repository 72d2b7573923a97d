import { FedLoraError } from "@fedlora/core";
import { replaceFile } from "@fedlora/core/node";
import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ArtifactRef } from "./artifact.js";
import { readArtifact } from "./runtime/read-artifact.js";

const signatureFile = "artifact.sig";

const signatureSchema = z.strictObject({
  format: z.literal("fedlora-artifact-signature/1"),
  /** Raw Ed25519 key. */
  publicKey: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

/**
 * Signs a compiled artifact with an Ed25519 key (PKCS #8, PEM): writes `artifact.sig` into its folder. The signature
 * covers artifact.json, which holds the graph's hash.
 *
 * @returns the public key as hex, for clients to pin
 * @throws FedLoraError `artifact-invalid` for a damaged artifact, `config-invalid` for another kind of key
 */
export async function signArtifact(folder: string, privateKeyPem: string): Promise<string> {
  await readArtifact(folder);
  const privateKey = readPrivateKey(privateKeyPem);
  const publicKey = rawPublicKey(createPublicKey(privateKey));
  const signature = sign(null, await signedBytes(folder), privateKey).toString("hex");
  const text = JSON.stringify({ format: "fedlora-artifact-signature/1", publicKey, signature }, undefined, 1);
  await replaceFile(join(folder, signatureFile), `${text}\n`);
  return publicKey;
}

/**
 * Opens an artifact that came from elsewhere. A crafted graph could return raw data as gradients, so it must be signed
 * by one of the keys (hex) that the owner pinned.
 *
 * @throws FedLoraError `artifact-untrusted` without a valid signature by a pinned key, `artifact-invalid` for damage
 */
export async function openSignedArtifact(folder: string, pinnedKeys: readonly string[]): Promise<ArtifactRef> {
  const { publicKey, signature } = await readSignature(folder);
  if (!pinnedKeys.some((key) => key.toLowerCase() === publicKey)) {
    throw new FedLoraError("artifact-untrusted", `"${folder}" is signed by ${publicKey}, which is not a pinned key`, {
      details: { publicKey },
    });
  }
  const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey, "hex").toString("base64url") };
  const key = createPublicKey({ key: jwk, format: "jwk" });
  if (!verify(null, await signedBytes(folder), key, Buffer.from(signature, "hex"))) {
    throw new FedLoraError("artifact-untrusted", `the signature of "${folder}" does not fit its artifact.json`);
  }
  return readArtifact(folder);
}

async function readSignature(folder: string): Promise<z.output<typeof signatureSchema>> {
  try {
    return signatureSchema.parse(JSON.parse(await readFile(join(folder, signatureFile), "utf8")));
  } catch (cause) {
    throw new FedLoraError("artifact-untrusted", `"${folder}" has no readable ${signatureFile}`, { cause });
  }
}

/** A prefix of its own, so that the key's signatures for other purposes never count here. */
async function signedBytes(folder: string): Promise<Buffer> {
  const manifest = await readFile(join(folder, "artifact.json")).catch((cause: unknown) => {
    throw new FedLoraError("artifact-invalid", `"${folder}" has no artifact.json`, { cause });
  });
  return Buffer.concat([Buffer.from("fedlora artifact signature 1\n"), createHash("sha256").update(manifest).digest()]);
}

function readPrivateKey(pem: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new FedLoraError("config-invalid", "the signing key is not a private key in PEM form", { cause });
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw new FedLoraError(
    "config-invalid",
    `the signing key is ${key.asymmetricKeyType ?? "unknown"}, expected ed25519`,
  );
}

function rawPublicKey(key: KeyObject): string {
  return Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url").toString("hex");
}
