import type { SecretSource } from "@fedlora/client-sdk";
import { derivedSecrets } from "@fedlora/client-sdk/parts";

/**
 * Keys that follow from one key, so that they can be drawn wherever the training happens. Everybody who has the scenario
 * knows them: nothing made with them is private.
 */
export class KeyedSecrets implements SecretSource {
  readonly isSecret = false;
  readonly key: Uint8Array;
  readonly #source: SecretSource;

  /** @param key 32 bytes */
  constructor(key: Uint8Array) {
    this.key = key;
    this.#source = derivedSecrets(key, this.isSecret);
  }

  next(): Uint8Array {
    return this.#source.next();
  }
}
