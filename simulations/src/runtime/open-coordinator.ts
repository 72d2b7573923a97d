import {
  Intake,
  aggregateRound,
  createCoordinatorService,
  createUpdateValidator,
  intakeDefaults,
  type AggregationRunner,
  type CoordinatorHooks,
  type CoordinatorService,
  type Storage,
} from "@fedlora/coordinator";
import { RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import type { InProcessCoordinator } from "./in-process-transport.js";
import type { VirtualClock } from "./virtual-clock.js";
import { openVolatileStorage } from "./volatile-storage.js";

/** DER of a PKCS #8 Ed25519 key up to its 32 secret bytes (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** Nobody is between a virtual client and its coordinator, so nobody looks at signatures. */
const unsigned = new Uint8Array(64);

export interface SimulatedCoordinator extends InProcessCoordinator {
  readonly service: CoordinatorService;
  readonly storage: Storage;
}

/**
 * The coordinator itself, on virtual time and in memory; everything that is random in it follows from the key.
 *
 * @param folder for files of the aggregation; it exists
 */
export async function openCoordinator(
  clock: VirtualClock,
  key: RandomKey,
  hooks: CoordinatorHooks,
  folder: string,
): Promise<SimulatedCoordinator> {
  const storage = openVolatileStorage(folder);
  const own = clock.actor(-1);
  const secret = createHash("sha256")
    .update(`fedlora simulated coordinator: ${key.join(":")}`)
    .digest();
  const coordinatorKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, secret]), format: "der", type: "pkcs8" });
  const { x = "" } = createPublicKey(coordinatorKey).export({ format: "jwk" });
  const stream = new RandomStream(deriveKey(key, "coordinator"));
  const secrets = new RandomStream(deriveKey(key, "secrets"));
  const aggregation: AggregationRunner = {
    run: (job) => clock.hold(() => new Promise((resolve) => resolve(aggregateRound(job)))),
    close: () => Promise.resolve(),
  };
  const service = await createCoordinatorService({
    storage,
    aggregation,
    coordinatorKey,
    signReceipt: () => unsigned,
    clock: own,
    randomBytes: (length) => Uint8Array.from({ length }, () => stream.integer(256)),
    testSecrets: (length) => Uint8Array.from({ length }, () => secrets.integer(256)),
    hooks,
    // Only who waits in a poll is there: a virtual client that leaves does so at a moment, not after a silence.
    tuning: { presenceMs: -1, graceMs: 0 },
  });
  const intake = new Intake({
    clients: service.clients,
    blobs: storage.blobs,
    validate: createUpdateValidator(storage.blobs),
    clock: own,
    // A simulated cohort may deliver at one moment what real clients would spread out.
    options: { ...intakeDefaults, maxUploads: Number.MAX_SAFE_INTEGER, budgetBytes: Number.MAX_SAFE_INTEGER },
  });
  return {
    service,
    storage,
    clients: service.clients,
    intake,
    blobs: storage.blobs,
    digests: new Map(),
    publicKey: Uint8Array.from(Buffer.from(x, "base64url")),
  };
}
