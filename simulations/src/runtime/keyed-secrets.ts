import type { SecretSource } from "@fedlora/client-sdk";
import { SecretRandom } from "@fedlora/core";

/**
 * Keys that follow from one key, so that they can be drawn wherever the training happens. Everybody who has the scenario
 * knows them: nothing made with them is private.
 */
export class KeyedSecrets implements SecretSource {
  readonly isSecret = false;
  readonly key: Uint8Array;
  readonly #stream: SecretRandom;

  /** @param key 32 bytes */
  constructor(key: Uint8Array) {
    this.key = key;
    this.#stream = new SecretRandom(key);
  }

  next(): Uint8Array {
    const secret = new Uint8Array(32);
    const view = new DataView(secret.buffer);
    for (let at = 0; at < 32; at += 4) view.setUint32(at, this.#stream.uint32());
    return secret;
  }
}
