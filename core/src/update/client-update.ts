import type { BlobId, ClientId, PlanId, RoundNumber, RunId } from "../ids.js";

/** Sums over examples, so that a federation's metrics are exact: the means are taken once, at the coordinator. */
export interface EvaluationCounts {
  /** Examples (classification) or target tokens (language modelling) that the loss was summed over; >= 0. */
  readonly count: number;
  /** Sum of the per-example or per-token losses, in nats. */
  readonly lossSum: number;
  /** Row-major confusion matrix [true label][predicted label]; empty for language modelling. */
  readonly confusion: readonly number[];
}

/** What travels beside the tensors. */
export interface UpdateMetrics {
  /** Examples trained on in this round (each counted once per epoch seen at most once); >= 1 for a training update. */
  readonly numExamples: number;
  /** Optimizer steps taken. */
  readonly numSteps: number;
  /** Mean training loss over the last epoch or over all steps, in nats; absent in a private run. */
  readonly trainLoss: number | undefined;
  /** Evaluation of the received global adapter on the client's held-out data, where the plan asks for it. */
  readonly evaluation: EvaluationCounts | undefined;
  readonly trainMs: number;
  /** Mean loss of the received model, in nats, where the directive `received-loss` asks for it. */
  readonly receivedLoss?: number | undefined;
}

/** The coordinator's signed word that an update counts. Verifies with the coordinator's Ed25519 key over `receiptBytes`. */
export interface UpdateReceipt {
  readonly planId: PlanId;
  readonly runId: RunId;
  readonly round: RoundNumber;
  readonly clientId: ClientId;
  /** Empty for an evaluation, which uploads nothing. */
  readonly blobId: BlobId | "";
  /** Journal sequence of the acceptance. */
  readonly sequence: number;
  readonly signature: Uint8Array;
}
