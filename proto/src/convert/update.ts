import {
  FedLoraError,
  isBlobId,
  isClientId,
  isPlanId,
  isRunId,
  type EvaluationCounts,
  type PlanId,
  type UpdateMetrics,
  type UpdateReceipt,
} from "@fedlora/core";
import { keyIdOf, verifyEd25519 } from "../ed25519.js";
import type { CommitRequest, CommitRequest__Output } from "../gen/fedlora/v1/CommitRequest.js";
import type { EvaluationCounts__Output } from "../gen/fedlora/v1/EvaluationCounts.js";
import type { Receipt, Receipt__Output } from "../gen/fedlora/v1/Receipt.js";
import type { UpdateMetrics as WireMetrics, UpdateMetrics__Output } from "../gen/fedlora/v1/UpdateMetrics.js";
import { limits } from "../limits.js";
import { receiptBytes } from "../signed-bytes.js";
import { checkId, checkInt, checkOptionalId, checkPresent, checkText } from "./checks.js";
import { signatureToWire } from "./signature.js";

export interface CommitQuestion {
  readonly planId: PlanId;
  /** undefined for an evaluation, which uploads nothing. */
  readonly uploadId: string | undefined;
  /** Not converted yet: a bad number in it is a refused update, not a malformed request; see `metricsFromWire`. */
  readonly metrics: UpdateMetrics__Output;
}

export function commitFromWire(wire: CommitRequest__Output): CommitQuestion {
  return {
    planId: checkId(wire.planId, isPlanId, "plan_id"),
    uploadId: wire.uploadId === "" ? undefined : checkText(wire.uploadId, "upload_id", limits.nameChars),
    metrics: checkPresent(wire.metrics, "metrics"),
  };
}

export function commitToWire(planId: PlanId, uploadId: string | undefined, metrics: UpdateMetrics): CommitRequest {
  return { planId, uploadId: uploadId ?? "", metrics: metricsToWire(metrics) };
}

/** Throws `update-metrics` for numbers that are not finite, negative or out of range. */
export function metricsFromWire(wire: UpdateMetrics__Output): UpdateMetrics {
  return {
    numExamples: metric(wire.numExamples, "num_examples", Number.isSafeInteger),
    numSteps: metric(wire.numSteps, "num_steps", Number.isSafeInteger),
    trainLoss: wire.trainLoss === undefined ? undefined : metric(wire.trainLoss, "train_loss"),
    evaluation: wire.evaluation === null ? undefined : countsFromWire(wire.evaluation),
    trainMs: metric(wire.trainMs, "train_ms"),
    ...(wire.receivedLoss === undefined ? {} : { receivedLoss: metric(wire.receivedLoss, "received_loss") }),
  };
}

function countsFromWire(wire: EvaluationCounts__Output): EvaluationCounts {
  if (wire.confusion.length > limits.confusionCells) {
    const message = `evaluation.confusion has ${wire.confusion.length} cells; at most ${limits.confusionCells} may travel`;
    throw new FedLoraError("update-metrics", message, { details: { field: "evaluation.confusion" } });
  }
  return {
    count: metric(wire.count, "evaluation.count"),
    lossSum: metric(wire.lossSum, "evaluation.loss_sum"),
    confusion: wire.confusion.map((cell, index) => metric(cell, `evaluation.confusion[${index}]`)),
  };
}

function metric(value: number, field: string, isAllowed: (value: number) => boolean = Number.isFinite): number {
  if (!isAllowed(value) || value < 0) {
    const message = `metrics.${field} is ${value}; it must be finite, at least 0 and in range`;
    throw new FedLoraError("update-metrics", message, { details: { field: `metrics.${field}` } });
  }
  return value;
}

export function metricsToWire(metrics: UpdateMetrics): WireMetrics {
  const { trainLoss, evaluation, receivedLoss } = metrics;
  return {
    numExamples: metrics.numExamples,
    numSteps: metrics.numSteps,
    ...(trainLoss === undefined ? {} : { trainLoss }),
    evaluation:
      evaluation === undefined
        ? null
        : { count: evaluation.count, lossSum: evaluation.lossSum, confusion: [...evaluation.confusion] },
    trainMs: metrics.trainMs,
    ...(receivedLoss === undefined ? {} : { receivedLoss }),
  };
}

export function receiptToWire(receipt: UpdateReceipt, coordinatorKey: Uint8Array): Receipt {
  return {
    planId: receipt.planId,
    runId: receipt.runId,
    round: receipt.round,
    clientId: receipt.clientId,
    blobId: receipt.blobId,
    sequence: receipt.sequence,
    signature: signatureToWire(keyIdOf(coordinatorKey), receipt.signature),
  };
}

/** Checks every field and the coordinator's signature; throws `request-invalid`, `unauthenticated`. */
export function receiptFromWire(wire: Receipt__Output, coordinatorKey: Uint8Array): UpdateReceipt {
  const facts: Omit<UpdateReceipt, "signature"> = {
    planId: checkId(wire.planId, isPlanId, "receipt.plan_id"),
    runId: checkId(wire.runId, isRunId, "receipt.run_id"),
    round: checkInt(wire.round, "receipt.round"),
    clientId: checkId(wire.clientId, isClientId, "receipt.client_id"),
    blobId: checkOptionalId(wire.blobId, isBlobId, "receipt.blob_id") ?? "",
    sequence: checkInt(wire.sequence, "receipt.sequence"),
  };
  const signature = checkPresent(wire.signature, "receipt.signature").value;
  if (!verifyEd25519(coordinatorKey, receiptBytes(facts), signature)) {
    throw new FedLoraError("unauthenticated", `the receipt for plan ${facts.planId} is not signed by the coordinator`);
  }
  return { ...facts, signature: Uint8Array.from(signature) };
}
