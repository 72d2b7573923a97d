import type { Signature } from "../gen/fedlora/v1/Signature.js";

export function signatureToWire(keyId: Uint8Array, value: Uint8Array): Signature {
  return { keyId: Buffer.from(keyId), value: Buffer.from(value) };
}
