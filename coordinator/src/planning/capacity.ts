import type { RunId } from "@fedlora/core";

import type { CapabilityReport } from "../service.js";

/**
 * What a client's reports come to: moving averages, and the latest word where none is needed. A plain JSON value, journaled
 * with the plan that it led to, so that plans are the same after a restart.
 */
export interface CapacityEstimate {
  /** Forward pass of one batch, milliseconds; above 0. */
  readonly forwardMs: number;
  /** Backward pass of one adapted layer, per batch, milliseconds; from 0. */
  readonly layerMs: number;
  /** Batches of its last accepted round of the run; null: none yet. */
  readonly batches: number | null;
  /** Milliseconds per byte sent; null: it has not sent anything yet. */
  readonly uploadMsPerByte: number | null;
  /** Bytes that a step may have, what one takes that trains no layer, and what each trained layer adds; null: not known. */
  readonly memoryBytes: number | null;
  readonly forwardBytes: number | null;
  readonly layerBytes: number | null;
  /** Whether the times come from this run's own rounds; until they do, they are scaled from another batch. */
  readonly isOwn: boolean;
}

export interface CapacityContext {
  readonly runId: RunId;
  /** Weight of the earlier measurements, 0 to below 1. */
  readonly smoothing: number;
  /** Rows x tokens of a full batch of the run, to which measurements of other batches are scaled. */
  readonly batchTokens: number;
}

/**
 * Folds a client's latest report into its estimate: rho x before + (1 - rho) x measured for times, the reciprocal of the
 * bandwidth included. The first measurement of the run itself replaces what a probe, or another run, had led to, since
 * those are of other batches.
 *
 * @returns undefined for a client that has never measured its steps
 */
export function foldCapacity(
  before: CapacityEstimate | undefined,
  report: CapabilityReport,
  { runId, smoothing, batchTokens }: CapacityContext,
): CapacityEstimate | undefined {
  const { stepTimes, uploadBytesPerSecond, memoryBytes } = report;
  if (stepTimes === undefined) return before;
  const isOwn = stepTimes.runId === runId;
  if (before?.isOwn === true && !isOwn) return before;
  const scale = isOwn ? 1 : batchTokens / stepTimes.batchTokens;
  const earlier = before?.isOwn === isOwn ? before : undefined;
  const mix = (old: number | null | undefined, measured: number): number =>
    old === undefined || old === null ? measured : smoothing * old + (1 - smoothing) * measured;
  return {
    forwardMs: mix(earlier?.forwardMs, stepTimes.forwardMs * scale),
    layerMs: mix(earlier?.layerMs, stepTimes.layerMs * scale),
    batches: before?.batches ?? null,
    uploadMsPerByte:
      uploadBytesPerSecond === undefined
        ? (before?.uploadMsPerByte ?? null)
        : mix(before?.uploadMsPerByte, 1000 / uploadBytesPerSecond),
    memoryBytes: memoryBytes ?? null,
    forwardBytes: stepTimes.forwardBytes ?? null,
    layerBytes: stepTimes.layerBytes ?? null,
    isOwn,
  };
}
