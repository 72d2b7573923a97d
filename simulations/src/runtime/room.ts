import type { EvaluateRequest, LocalTrainer, TrainRequest, TrainResult } from "@fedlora/client-sdk";
import type { EvaluationCounts } from "@fedlora/core";
import type { EngineIdentity } from "../device/profile.js";

/** All trainers of a simulation as one: requests may be many at a time, and wait for whoever is free. */
export interface Room extends LocalTrainer {
  /** @param dueMs the virtual time at which the result is waited for: of those that wait, the earliest goes first */
  train(
    request: TrainRequest,
    signal: AbortSignal,
    onProgress: Parameters<LocalTrainer["train"]>[2],
    dueMs?: number,
  ): Promise<TrainResult>;
  /** @param dueMs as in `train` */
  evaluate(
    request: EvaluateRequest,
    signal: AbortSignal,
    onProgress: Parameters<LocalTrainer["evaluate"]>[2],
    dueMs?: number,
  ): Promise<EvaluationCounts>;
  /** That of every trainer, so that it changes nothing who takes which request. */
  readonly engine: EngineIdentity;
  /** Milliseconds of real time that trainers worked so far, all together. */
  readonly busyMs: number;
  /** Trainings at a time. */
  readonly size: number;
  /** Aborts, with its reason, when no trainer will answer any more; absent: each request tells by itself. */
  readonly lost?: AbortSignal;
}
