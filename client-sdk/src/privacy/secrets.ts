import { SecretRandom, systemSecret } from "@fedlora/core";

/** Where a client's secret keys come from. */
export interface SecretSource {
  /** False where somebody else can know the keys, so that nothing made with them is private. */
  readonly isSecret: boolean;
  /** 32 bytes, others at every call. */
  next(): Uint8Array;
}

/** The system's cryptographic generator. */
export const systemSecrets: SecretSource = { isSecret: true, next: systemSecret };

/**
 * Keys that follow from a seed, the same ones every time: for tests, and for simulations that are to be repeated. Who knows
 * the seed can take all noise off again, so nothing that uses it is private.
 *
 * @param seed integer from 0 to 2^53 - 1
 */
export function seededSecrets(seed: number): SecretSource {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setBigUint64(0, BigInt(seed));
  return derivedSecrets(key, false);
}

/**
 * Keys that follow from one key, for work that is told one secret and needs several.
 *
 * @param key 32 bytes
 * @param isSecret whether nobody else can know the key
 */
export function derivedSecrets(key: Uint8Array, isSecret: boolean): SecretSource {
  const stream = new SecretRandom(key);
  return {
    isSecret,
    next: () => {
      const secret = new Uint8Array(32);
      const view = new DataView(secret.buffer);
      for (let at = 0; at < 32; at += 4) view.setUint32(at, stream.uint32());
      return secret;
    },
  };
}
