import type { LocalTrainer } from "@fedlora/client-sdk";
import type { EngineIdentity } from "../device/profile.js";

/** All trainers of a simulation as one: requests may be many at a time, and wait in order for whoever is free. */
export interface Room extends LocalTrainer {
  /** That of every trainer, so that it changes nothing who takes which request. */
  readonly engine: EngineIdentity;
  /** Milliseconds of real time that trainers worked so far, all together. */
  readonly busyMs: number;
  /** Trainings at a time. */
  readonly size: number;
  /** Aborts, with its reason, when no trainer will answer any more; absent: each request tells by itself. */
  readonly lost?: AbortSignal;
}
