import type { Signer } from "@fedlora/proto";
import { createPublicKey, sign, type KeyObject } from "node:crypto";

/** The coordinator's key as the protocol signs with it: round plans and receipts. */
export function createSigner(privateKey: KeyObject): Signer {
  const { x } = createPublicKey(privateKey).export({ format: "jwk" });
  if (x === undefined) throw new TypeError("an Ed25519 private key is needed");
  return {
    publicKey: Uint8Array.from(Buffer.from(x, "base64url")),
    sign: (message) => Uint8Array.from(sign(null, message, privateKey)),
  };
}
