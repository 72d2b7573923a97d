import { createHash } from "node:crypto";

/** SHA-256, lower-case hex: the name of bytes in a content store. */
export function contentHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
