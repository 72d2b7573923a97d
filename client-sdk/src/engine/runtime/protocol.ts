import { FedLoraError, isErrorCode } from "@fedlora/core";
import type { ArtifactRef } from "../artifact.js";
import type { EngineName, TrainingEngine } from "../engine.js";

/**
 * Messages between an application and the engine beside it, over anything that posts structured clones in order: a child
 * process's channel, a Web Worker.
 */
export interface EnginePort {
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
}

/** What an engine is started with. */
export interface EngineStart {
  readonly engine: EngineName;
  readonly threads: number;
  readonly prepack: boolean;
  readonly profilePrefix?: string;
}

export const engineMethods = [
  "createSlot",
  "readSlot",
  "writeSlot",
  "readOptimizer",
  "writeOptimizer",
  "releaseSlot",
  "accumulate",
  "takeGradients",
  "apply",
  "infer",
  "memory",
  "close",
] as const satisfies readonly (keyof TrainingEngine)[];
export type EngineMethod = (typeof engineMethods)[number];

export type ToEngine =
  | { readonly type: "start"; readonly start: EngineStart }
  /** Manifests are long: each is sent once, later requests name its id. */
  | { readonly type: "artifact"; readonly id: string; readonly artifact: ArtifactRef }
  | { readonly type: "call"; readonly id: number; readonly method: EngineMethod; readonly args: readonly unknown[] }
  /** Takes effect before the call's step begins. */
  | { readonly type: "cancel"; readonly id: number };

export type FromEngine =
  | { readonly type: "ready"; readonly name: EngineName; readonly fingerprint: string }
  | { readonly type: "failed"; readonly error: WireError }
  | { readonly type: "result"; readonly id: number; readonly value: unknown }
  | { readonly type: "error"; readonly id: number; readonly error: WireError };

/** A FedLoraError as plain data; classes do not survive a structured clone. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

export function toWireError(thrown: unknown): WireError {
  const { code, message, details } = FedLoraError.from(thrown);
  return { code, message, details };
}

export function fromWireError({ code, message, details }: WireError): FedLoraError {
  return new FedLoraError(isErrorCode(code) ? code : "internal", message, { details });
}
