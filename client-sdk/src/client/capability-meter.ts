import { codecFamilies, sha256Hex, supportedDirectives } from "@fedlora/core";
import { limits, type StepTimes } from "@fedlora/proto";
import { totalmem } from "node:os";
import type { ClientCapabilityReport } from "../transport/transport.js";

/** What a client can say of itself; it is told what was measured on the way. */
export interface CapabilitySource {
  /** @param times absent: what was known of them stays */
  measuredStep(stepMs: number, times?: StepTimes): void;
  measuredUpload(bytes: number, ms: number): void;
  report(): ClientCapabilityReport;
}

/** What the owner says of this machine. */
export interface DeclaredCapability {
  readonly deviceClass?: string | undefined;
  readonly maxRank?: number | undefined;
}

/** What this machine turned out to be capable of, so far. */
export class CapabilityMeter implements CapabilitySource {
  readonly #engine: { readonly name: string; readonly fingerprint: string };
  #stepMs: number | undefined;
  #uploadBytesPerSecond: number | undefined;
  #stepTimes: StepTimes | undefined;
  readonly #declared: DeclaredCapability;

  constructor(
    engine: { readonly name: string; readonly fingerprint: string },
    declared: DeclaredCapability = {},
    probed?: StepTimes,
  ) {
    this.#declared = declared;
    this.#stepTimes = probed;
    const { name, fingerprint } = engine;
    // Only whether two fingerprints are equal counts, so a hash stands for one that is too long to travel.
    const short =
      fingerprint.length <= limits.nameChars ? fingerprint : sha256Hex(new TextEncoder().encode(fingerprint));
    this.#engine = { name, fingerprint: short };
  }

  measuredStep(stepMs: number, times?: StepTimes): void {
    if (Number.isFinite(stepMs) && stepMs > 0) this.#stepMs = stepMs;
    if (times !== undefined) this.#stepTimes = times;
  }

  measuredUpload(bytes: number, ms: number): void {
    if (bytes > 0 && ms > 0) this.#uploadBytesPerSecond = (bytes * 1000) / ms;
  }

  report(): ClientCapabilityReport {
    return {
      // A container's limit, where there is one, is what this process can really have.
      memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
      stepMs: this.#stepMs,
      uploadBytesPerSecond: this.#uploadBytesPerSecond,
      engine: this.#engine.name,
      engineFingerprint: this.#engine.fingerprint,
      directives: supportedDirectives,
      codecs: [...codecFamilies.keys()],
      maxRank: this.#declared.maxRank,
      measurements: {},
      stepTimes: this.#stepTimes,
      deviceClass: this.#declared.deviceClass,
    };
  }
}
