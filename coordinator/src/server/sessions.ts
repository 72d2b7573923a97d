import { FedLoraError, isClientId, type ClientId, type Clock } from "@fedlora/core";
import { sessionMetadataKey } from "@fedlora/proto";
import type { Metadata } from "@grpc/grpc-js";
import { createHmac, hkdfSync, timingSafeEqual, type KeyObject } from "node:crypto";

const macBytes = 32;
const timeBytes = 8;
const defaultMaxAgeMs = 7 * 24 * 3_600_000;

/**
 * Sessions that need no table and survive a restart: HMAC-SHA256 over issue time and client id, its key derived from the
 * coordinator's signing key.
 *
 * Token: mac (32 bytes) || milliseconds since the epoch (8 bytes, big-endian) || client id (UTF-8).
 */
export class Sessions {
  readonly #key: Uint8Array;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;

  constructor(signingKey: KeyObject, clock: Clock, maxAgeMs: number = defaultMaxAgeMs) {
    const secret = signingKey.export({ type: "pkcs8", format: "der" });
    this.#key = new Uint8Array(hkdfSync("sha256", secret, "", "fedlora-session-v1", macBytes));
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
  }

  issue(clientId: ClientId): Uint8Array {
    const body = Buffer.alloc(timeBytes + Buffer.byteLength(clientId));
    body.writeBigUInt64BE(BigInt(Math.floor(this.#clock.now())));
    body.write(clientId, timeBytes);
    return Buffer.concat([this.#mac(body), body]);
  }

  /** The client that a call's metadata proves; throws `unauthenticated`. */
  authenticate(metadata: Metadata): ClientId {
    const [value] = metadata.get(sessionMetadataKey);
    if (typeof value !== "string") throw refused(`the call carries no ${sessionMetadataKey} metadata`);
    const token = Buffer.from(value, "base64url");
    const body = token.subarray(macBytes);
    if (body.byteLength <= timeBytes || !timingSafeEqual(token.subarray(0, macBytes), this.#mac(body))) {
      throw refused("the session was not issued by this coordinator");
    }
    const ageMs = this.#clock.now() - Number(body.readBigUInt64BE());
    if (ageMs > this.#maxAgeMs) throw refused("the session has expired");
    const clientId = body.toString("utf8", timeBytes);
    if (!isClientId(clientId)) throw refused("the session names no client");
    return clientId;
  }

  #mac(body: Uint8Array): Buffer {
    return createHmac("sha256", this.#key).update(body).digest();
  }
}

const refused = (message: string): FedLoraError => new FedLoraError("unauthenticated", message);
