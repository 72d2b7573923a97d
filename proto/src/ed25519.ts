import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto";

/** Signs as the coordinator or as a client. Ed25519 (RFC 8032); both keys and signatures are raw bytes. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes over the message. */
  sign(message: Uint8Array): Uint8Array;
}

export const publicKeyBytes = 32;
export const signatureBytes = 64;

/** Whether `signature` is the key's word on `message`; false, never a throw, for keys and signatures that are malformed. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.byteLength !== publicKeyBytes || signature.byteLength !== signatureBytes) return false;
  try {
    return verify(null, message, toKeyObject(publicKey), signature);
  } catch {
    return false;
  }
}

/** The short name of a key in a Signature: the first 8 bytes of its SHA-256. */
export function keyIdOf(publicKey: Uint8Array): Buffer {
  return createHash("sha256").update(publicKey).digest().subarray(0, 8);
}

function toKeyObject(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}
