import { expect, test } from "vitest";
import { keyIdOf, verifyEd25519 } from "./ed25519.js";

// RFC 8032, section 7.1, test 2.
const publicKey = Buffer.from("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "hex");
const message = Buffer.from("72", "hex");
const signature = Buffer.from(
  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  "hex",
);

test("the vector of RFC 8032 verifies, and nothing else does", () => {
  expect(verifyEd25519(publicKey, message, signature)).toBe(true);
  expect(verifyEd25519(publicKey, Buffer.from("73", "hex"), signature)).toBe(false);
  const changed = Buffer.from(signature);
  changed[0] = changed[0]! ^ 1;
  expect(verifyEd25519(publicKey, message, changed)).toBe(false);
});

test("malformed keys and signatures are false, not a throw", () => {
  expect(verifyEd25519(publicKey.subarray(1), message, signature)).toBe(false);
  expect(verifyEd25519(publicKey, message, signature.subarray(1))).toBe(false);
  expect(verifyEd25519(Buffer.alloc(32, 0xff), message, signature)).toBe(false);
});

test("a key id is the first 8 bytes of the key's SHA-256", () => {
  // Python: hashlib.sha256(bytes(32)).hexdigest()[:16]
  expect(keyIdOf(new Uint8Array(32)).toString("hex")).toBe("66687aadf862bd77");
});
