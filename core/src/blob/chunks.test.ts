import fc from "fast-check";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { nodeSha256 } from "../node/hash.js";
import { sha256Hex } from "../tensor/hash.js";
import { BlobHasher, blobIdOf, blobIdOfChunks, chunkBytes, chunkCount, chunksOf } from "./chunks.js";

const patterned = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 255);

describe("a blob's id", () => {
  test("is the hash over the chunks' hashes (values from Python's hashlib)", () => {
    // python: b = bytes((i*31 + (i>>8)) & 255 for i in range(n)); c = 262144
    //         sha256(b''.join(sha256(b[i:i+c]).digest() for i in range(0, n, c))).hexdigest()
    expect(blobIdOf(new Uint8Array(0))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(blobIdOf(patterned(1))).toBe("1406e05881e299367766d313e26c05564ec91bf721d31726bd6e46e60689539a");
    expect(blobIdOf(patterned(chunkBytes))).toBe("8871050955eb0c5ffb6b8736c56f40093cd138517fbc055cc27d9f239b580392");
    expect(blobIdOf(patterned(chunkBytes * 2 + 5))).toBe(
      "d89ba27cdddbd840c5df506632f176cf6e0d75551252f73d726aa6a6e3aeda26",
    );
  });

  test("does not depend on the pieces that the hasher is fed with, nor on the SHA-256 used", () => {
    const bytes = patterned(chunkBytes * 3 + 1000);
    const expected = blobIdOf(bytes, nodeSha256);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.byteLength), { maxLength: 8 }), (cuts) => {
        const hasher = new BlobHasher(nodeSha256);
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.byteLength];
        edges.slice(1).forEach((edge, i) => hasher.update(bytes.subarray(edges[i], edge)));

        const { id, chunkHashes, size } = hasher.finish();

        expect([id, chunkHashes.length, size]).toEqual([expected, 4, bytes.byteLength]);
      }),
      { numRuns: 20 },
    );
    expect(blobIdOf(bytes)).toBe(expected);
  });

  test("can be had from the chunks' hashes alone", () => {
    const bytes = patterned(chunkBytes + 7);
    const hashes = [...chunksOf(bytes)].map((chunk) => createHash("sha256").update(chunk.bytes).digest());

    expect(blobIdOfChunks(hashes)).toBe(blobIdOf(bytes));
    expect([...chunksOf(bytes)].map(({ offset, bytes: { byteLength } }) => [offset, byteLength])).toEqual([
      [0, chunkBytes],
      [chunkBytes, 7],
    ]);
  });

  test.each([
    [0, 0],
    [1, 1],
    [chunkBytes, 1],
    [chunkBytes + 1, 2],
  ])("a blob of %i bytes has %i chunks", (size, count) => {
    expect(chunkCount(size)).toBe(count);
    expect([...chunksOf(new Uint8Array(size))]).toHaveLength(count);
  });
});

test("SHA-256 of the standard's example", () => {
  const abc = new TextEncoder().encode("abc");
  const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4

  expect([sha256Hex(abc), sha256Hex(abc, nodeSha256)]).toEqual([expected, expected]);
});
