import type { EvaluationCounts, PlanInstructions, StateDict, UpdateMetrics } from "@fedlora/core";
import type { BaseDelta } from "../models/base-delta/base-delta.js";

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
}

export interface TrainResult {
  /** Trained values (not deltas) of every tensor whose role says `trained`, and the client's new control variates. */
  readonly trained: StateDict;
  readonly metrics: UpdateMetrics;
  readonly optimizerState: StateDict | undefined;
  /** Measured on this round, for the capability report. */
  readonly stepMs: number;
}

/** Trains and evaluates adapters on this machine's data; knows nothing of the network. */
export interface LocalTrainer {
  train(
    request: TrainRequest,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<TrainResult>;
  evaluate(
    request: Pick<TrainRequest, "instructions" | "start" | "data" | "baseDeltas">,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<EvaluationCounts>;
  /**
   * How many deltas at the start of a chain it holds merged already, so that their `source` may be undefined. A trainer
   * without this method cannot change base weights, and is given no request that asks for it.
   */
  heldBaseDeltas?(ids: readonly string[]): Promise<number>;
  close(): Promise<void>;
}
