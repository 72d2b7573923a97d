import { codecs, supportedDirectives } from "@fedlora/core";
import { totalmem } from "node:os";
import type { ClientCapabilityReport } from "../transport/transport.js";

/** What this machine turned out to be capable of, so far. */
export class CapabilityMeter {
  readonly #engine: { readonly name: string; readonly fingerprint: string };
  #stepMs: number | undefined;
  #uploadBytesPerSecond: number | undefined;

  constructor(engine: { readonly name: string; readonly fingerprint: string }) {
    this.#engine = engine;
  }

  measuredStep(stepMs: number): void {
    if (Number.isFinite(stepMs) && stepMs > 0) this.#stepMs = stepMs;
  }

  measuredUpload(bytes: number, ms: number): void {
    if (bytes > 0 && ms > 0) this.#uploadBytesPerSecond = (bytes * 1000) / ms;
  }

  report(): ClientCapabilityReport {
    const { name, fingerprint } = this.#engine;
    return {
      // A container's limit, where there is one, is what this process can really have.
      memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
      stepMs: this.#stepMs,
      uploadBytesPerSecond: this.#uploadBytesPerSecond,
      engine: name,
      engineFingerprint: fingerprint,
      directives: supportedDirectives,
      codecs: [...codecs.keys()],
      maxRank: undefined,
      measurements: {},
    };
  }
}
