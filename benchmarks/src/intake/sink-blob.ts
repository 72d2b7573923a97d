import { limits } from "@fedlora/proto";

/** A download of as many bytes as an update of `rows` rows has values for, from one chunk in memory. */
export function* sinkBlobChunks(
  rows: number,
): Generator<{ offset: number; data: Buffer; sha256: Buffer; total: number }> {
  const total = rows * 256 * 4;
  const data = Buffer.alloc(limits.chunkBytes, 7);
  const sha256 = Buffer.alloc(32);
  for (let offset = 0; offset < total; offset += limits.chunkBytes) yield { offset, data, sha256, total };
}
