import type { EvaluationCounts, PlanInstructions, PrivacyEvent, StateDict, UpdateMetrics } from "@fedlora/core";
import type { LocalStepTimes } from "./step-meter.js";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import type { SecretSource } from "../privacy/secrets.js";

/** One labelled text. `label` is a label's name or its index in the task's list. */
export interface ClassificationExample {
  readonly text: string;
  readonly label: string | number;
}

/** One text to continue, or a prompt with its completion. */
export type LanguageExample = { readonly text: string } | { readonly prompt: string; readonly completion: string };

export type Example = ClassificationExample | LanguageExample;

/** What an application gives: read once per round, in its order; it may be lazy. */
export type ExampleSource = Iterable<Example> | AsyncIterable<Example>;

export interface DataSource {
  /** Name of the data set in the owner's ledger. */
  readonly name: string;
  train(signal: AbortSignal): ExampleSource | Promise<ExampleSource>;
  /** Held-out examples for federated evaluation; absent: the client sits evaluations out. */
  evaluation?(signal: AbortSignal): ExampleSource | Promise<ExampleSource>;
}

export interface TrainingProgress {
  readonly stage: "preparing" | "training" | "evaluating";
  readonly step: number;
  readonly totalSteps: number;
  /** Mean loss of the last optimizer step, in nats; NaN while preparing. */
  readonly loss: number;
  readonly tokensPerSecond: number;
}

export interface TrainRequest {
  readonly instructions: PlanInstructions;
  /** Values of the tensors that the plan downloads, ships frozen or kept from earlier rounds: one per role. */
  readonly start: StateDict;
  readonly data: DataSource;
  /** 1-based round, and the run's and client's ids: mixed into the seed. */
  readonly round: number;
  readonly streamKey: string;
  readonly optimizerState: StateDict | undefined;
  /**
   * Whether this client has no values of its own for tensors that it keeps for the run: it is new to the run, or lost
   * them; absent: it has.
   */
  readonly isNewcomer?: boolean;
  /** Changes to the frozen weights that the plan counts on, oldest first; absent: none. */
  readonly baseDeltas?: readonly BaseDelta[];
  /** Keys of private steps and counts; absent: the system's cryptographic generator. */
  readonly secrets?: SecretSource;
}

export interface TrainResult {
  /** Trained values (not deltas) of every tensor whose role says `trained`, and the client's new control variates. */
  readonly trained: StateDict;
  readonly metrics: UpdateMetrics;
  readonly optimizerState: StateDict | undefined;
  /** Measured on this round, for the capability report. */
  readonly stepMs: number;
  /** What a step costs by the number of layers that it trains, measured on this round; absent: nothing followed, or it is private. */
  readonly stepTimes?: LocalStepTimes | undefined;
  /** Of DP-SGD, for the owner alone: it is not sent. */
  readonly privacy?: ExamplePrivacy;
}

/** What a round of DP-SGD cost the examples that it was drawn from. */
export interface ExamplePrivacy {
  /** Usable examples, taken by a step or not. */
  readonly numExamples: number;
  readonly events: readonly PrivacyEvent[];
}

export type EvaluateRequest = Pick<TrainRequest, "instructions" | "start" | "data" | "baseDeltas" | "secrets">;

/**
 * Trains and evaluates adapters on this machine's data; knows nothing of the network. Of a private plan it carries out what
 * happens at the examples: DP-SGD, and the noise on an evaluation's counts; metrics hold what may be sent. Progress is for
 * the owner, with true losses.
 */
export interface LocalTrainer {
  train(
    request: TrainRequest,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<TrainResult>;
  evaluate(
    request: EvaluateRequest,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<EvaluationCounts>;
  /**
   * How many deltas at the start of a chain it holds merged already, so that their `source` may be undefined. A trainer
   * without this method cannot change base weights, and is given no request that asks for it.
   */
  heldBaseDeltas?(ids: readonly string[]): Promise<number>;
  /**
   * Times a step before the first round, so that a planner has something to go by; undefined: it cannot. A trainer without
   * this method says nothing before it has trained.
   */
  probe?(signal: AbortSignal): Promise<LocalStepTimes | undefined>;
  close(): Promise<void>;
}
