import { FedLoraError, RandomStream, codecFamilies, deriveKey, type RandomKey } from "@fedlora/core";
import type { ClientCapabilityReport } from "@fedlora/client-sdk";
import type { DeviceClass, DevicesSpec } from "../scenario/device-schema.js";
import type { StepDepth } from "./step-depth.js";

/** What one virtual client's machine can do. */
export interface DeviceProfile {
  readonly className: string;
  /** Virtual milliseconds of one micro-batch, forward and backward through all layers of the model. */
  readonly stepMs: number;
  /** Share of that which the forward pass takes. */
  readonly forwardShare: number;
  readonly downloadBytesPerSecond: number;
  readonly uploadBytesPerSecond: number;
  readonly latencyMs: number;
  /** What it tells the coordinator. */
  readonly capability: ClientCapabilityReport;
}

/** Milliseconds of a micro-batch whose backward pass goes through a share of the model's layers, 0 to 1. */
export function stepMsAt({ stepMs, forwardShare }: DeviceProfile, reach: number): number {
  return stepMs * (forwardShare + (1 - forwardShare) * reach);
}

export interface EngineIdentity {
  readonly name: string;
  readonly fingerprint: string;
  readonly directives: readonly string[];
}

/** What steps of the run's batch come to on any machine. */
export interface StepSize {
  /** Rows x tokens of a full micro-batch. */
  readonly batchTokens: number;
  readonly depth: Pick<StepDepth, "numLayers" | "fullReach">;
}

/** The machines of a population: each follows from the seed and the client's number, and none is stored. */
export class DeviceFleet {
  readonly #spec: DevicesSpec;
  readonly #key: RandomKey;
  readonly #engine: EngineIdentity;
  readonly #step: StepSize;

  constructor(spec: DevicesSpec, key: RandomKey, engine: EngineIdentity, step: StepSize) {
    this.#spec = spec;
    this.#key = key;
    this.#engine = engine;
    this.#step = step;
  }

  profileOf(client: number): DeviceProfile {
    const { speedSpread, stragglers } = this.#spec;
    const stream = new RandomStream(deriveKey(this.#key, "device", client));
    const chosen = this.#classAt(stream.uniform());
    const own = Math.exp(speedSpread * stream.normal());
    const slow = stragglers !== undefined && stream.uniform() < stragglers.share ? stragglers.slowdown : 1;
    const stepMs = chosen.stepMs * own * slow;
    const uploadBytesPerSecond = drawn(chosen.uploadBytesPerSecond, () => stream.normal());
    return {
      className: chosen.name,
      stepMs,
      forwardShare: chosen.forwardShare,
      downloadBytesPerSecond: chosen.downloadBytesPerSecond,
      uploadBytesPerSecond,
      latencyMs: chosen.latencyMs,
      capability: this.#capabilityOf(chosen, stepMs, uploadBytesPerSecond),
    };
  }

  classOf(client: number): string {
    return this.#classAt(new RandomStream(deriveKey(this.#key, "device", client)).uniform()).name;
  }

  #classAt(uniform: number): DeviceClass {
    const { classes } = this.#spec;
    const chosen = classes[pickClass(classes, uniform)];
    if (chosen === undefined) throw new FedLoraError("internal", "a scenario has at least one device class");
    return chosen;
  }

  /**
   * A simulated device knows what it is from the start: what it says of its steps is what its rounds take, by the time model
   * of rank plans (forward + depth x layer).
   */
  #capabilityOf(device: DeviceClass, stepMs: number, uploadBytesPerSecond: number): ClientCapabilityReport {
    const { batchTokens, depth } = this.#step;
    const { forwardBytes, layerBytes } = this.#spec.stepMemory ?? {};
    const { forwardShare } = device;
    return {
      deviceClass: device.name,
      memoryBytes: device.memoryBytes,
      stepMs,
      uploadBytesPerSecond,
      stepTimes: {
        forwardMs: stepMs * forwardShare,
        layerMs: (stepMs * (1 - forwardShare) * depth.fullReach) / Math.max(1, depth.numLayers),
        batchTokens,
        forwardBytes,
        layerBytes,
        runId: undefined,
      },
      engine: this.#engine.name,
      engineFingerprint: this.#engine.fingerprint,
      directives: [...this.#engine.directives],
      codecs: [...codecFamilies.keys()],
      maxRank: device.maxRank,
      measurements: {},
    };
  }
}

function drawn(rate: DeviceClass["uploadBytesPerSecond"], normal: () => number): number {
  if (typeof rate === "number") return rate;
  return Math.min(rate.max, Math.max(rate.min, rate.mean + rate.std * normal()));
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
