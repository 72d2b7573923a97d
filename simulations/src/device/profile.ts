import { FedLoraError, RandomStream, codecFamilies, deriveKey, type RandomKey } from "@fedlora/core";
import type { ClientCapabilityReport } from "@fedlora/client-sdk";
import type { DeviceClass, DevicesSpec } from "../scenario/device-schema.js";

/** What one virtual client's machine can do. */
export interface DeviceProfile {
  readonly className: string;
  /** Virtual milliseconds of one micro-batch, forward and backward. */
  readonly stepMs: number;
  readonly downloadBytesPerSecond: number;
  readonly uploadBytesPerSecond: number;
  readonly latencyMs: number;
  /** What it tells the coordinator; one object per class, so that a population is small. */
  readonly capability: ClientCapabilityReport;
}

/** Forward alone takes a third of a training step: the backward pass does twice its products. */
export const forwardShare = 1 / 3;

export interface EngineIdentity {
  readonly name: string;
  readonly fingerprint: string;
  readonly directives: readonly string[];
}

/** The machines of a population: each follows from the seed and the client's number, and none is stored. */
export class DeviceFleet {
  readonly #spec: DevicesSpec;
  readonly #key: RandomKey;
  readonly #classes: readonly DeviceProfile[];

  constructor(spec: DevicesSpec, key: RandomKey, engine: EngineIdentity) {
    this.#spec = spec;
    this.#key = key;
    this.#classes = spec.classes.map((each) => {
      const { name: className, stepMs, downloadBytesPerSecond, uploadBytesPerSecond, latencyMs } = each;
      const capability = capabilityOf(each, engine);
      return { className, stepMs, downloadBytesPerSecond, uploadBytesPerSecond, latencyMs, capability };
    });
  }

  profileOf(client: number): DeviceProfile {
    const { classes, speedSpread, stragglers } = this.#spec;
    const stream = new RandomStream(deriveKey(this.#key, "device", client));
    const chosen = this.#classes[pickClass(classes, stream.uniform())];
    if (chosen === undefined) throw new FedLoraError("internal", "a scenario has at least one device class");
    const own = Math.exp(speedSpread * stream.normal());
    const slow = stragglers !== undefined && stream.uniform() < stragglers.share ? stragglers.slowdown : 1;
    return { ...chosen, stepMs: chosen.stepMs * own * slow };
  }
}

function pickClass(classes: readonly DeviceClass[], uniform: number): number {
  const total = classes.reduce((sum, { share }) => sum + share, 0);
  let left = uniform * total;
  for (const [index, { share }] of classes.entries()) {
    left -= share;
    if (left < 0) return index;
  }
  return classes.length - 1;
}

function capabilityOf(device: DeviceClass, engine: EngineIdentity): ClientCapabilityReport {
  return {
    memoryBytes: device.memoryBytes,
    stepMs: device.stepMs,
    uploadBytesPerSecond: device.uploadBytesPerSecond,
    engine: engine.name,
    engineFingerprint: engine.fingerprint,
    directives: [...engine.directives],
    codecs: [...codecFamilies.keys()],
    maxRank: device.maxRank,
    measurements: {},
  };
}
