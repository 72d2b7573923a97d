import { sha256Hex } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";

/** SHA-256, lower-case hex: the name of bytes in a content store. */
export function contentHash(bytes: Uint8Array): string {
  return sha256Hex(bytes, nodeSha256);
}
