import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { FedLoraError } from "../errors.js";
import { toHex } from "../tensor/hash.js";
import type { HashFactory } from "../tensor/hash.js";

/** SHA-256 of `node:crypto`, several times faster than the portable one. */
export const nodeSha256: HashFactory = () => createHash("sha256");

const readBytes = 1024 * 1024;

/**
 * Lower-case hex SHA-256 of the bytes [offset, offset + length) of a file, read in pieces of 1 MiB; default: all of it.
 *
 * @throws FedLoraError `file-missing`, `file-invalid` when the file ends before the range does
 */
export async function sha256OfFile(path: string, offset = 0, length?: number): Promise<string> {
  const file = await open(path).catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `cannot open "${path}"`, { cause });
  });
  try {
    const end = length === undefined ? (await file.stat()).size : offset + length;
    const hash = createHash("sha256");
    const buffer = new Uint8Array(Math.max(1, Math.min(readBytes, end - offset)));
    for (let at = offset; at < end;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.byteLength, end - at), at);
      if (bytesRead === 0) throw new FedLoraError("file-invalid", `"${path}" ends at byte ${at}, expected ${end}`);
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return toHex(hash.digest());
  } finally {
    await file.close();
  }
}
