import fc from "fast-check";
import { createCipheriv } from "node:crypto";
import { expect, test } from "vitest";
import { toHex } from "../tensor/hash.js";
import { ChaCha20 } from "./chacha20.js";

function keystream(cipher: ChaCha20, blocks: number): Uint8Array {
  const words = new Int32Array(16 * blocks);
  cipher.fill(words);
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setInt32(i * 4, word, true));
  return bytes;
}

/** OpenSSL's ChaCha20: its IV is the counter, little-endian, and the nonce. */
function opensslKeystream(key: Uint8Array, nonce: Uint8Array, counter: number, length: number): string {
  const iv = new Uint8Array(16);
  new DataView(iv.buffer).setUint32(0, counter, true);
  iv.set(nonce, 4);
  return createCipheriv("chacha20", key, iv).update(new Uint8Array(length)).toString("hex");
}

const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

test("the block of RFC 8439, section 2.3.2", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);

  const block = keystream(new ChaCha20(key, fromHex("000000090000004a00000000"), 1), 1);

  expect(toHex(block)).toBe(
    "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
      "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
  );
});

test("any key, nonce and counter give OpenSSL's keystream, however it is cut", () => {
  const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(
    fc.property(bytes(32), bytes(12), fc.nat(2 ** 31), (key, nonce, counter) => {
      const cipher = new ChaCha20(key, nonce, counter);

      const got = toHex(keystream(cipher, 1)) + toHex(keystream(cipher, 3));

      expect(got).toBe(opensslKeystream(key, nonce, counter, 256));
    }),
    { numRuns: 50 },
  );
});

test("nothing comes after the last block of a nonce, nor after the key was erased", () => {
  const key = new Uint8Array(32);
  const nonce = new Uint8Array(12);
  const last = new ChaCha20(key, nonce, 2 ** 32 - 1);
  expect(toHex(keystream(last, 1))).toBe(opensslKeystream(key, nonce, 2 ** 32 - 1, 64));
  expect(() => keystream(last, 1)).toThrow(/used up/);

  const erased = new ChaCha20(key, nonce);
  erased.erase();
  expect(() => keystream(erased, 1)).toThrow(/used up/);
});

test.each([
  ["key", 31, 12],
  ["nonce", 32, 11],
])("a short %s is refused", (name, keyBytes, nonceBytes) => {
  expect(() => new ChaCha20(new Uint8Array(keyBytes), new Uint8Array(nonceBytes))).toThrow(name);
});
