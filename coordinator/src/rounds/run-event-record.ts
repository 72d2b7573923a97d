import type { RunEventRecord } from "../service.js";
import type { IssuedPlan, SequencedRunEvent } from "./run-events.js";

/** A journaled fact as watchers see it; docs/reference/run-events.md lists kinds and data. */
export function toRunEventRecord(event: SequencedRunEvent): RunEventRecord {
  const { sequence, round, atMs } = event;
  const clientId = "clientId" in event ? event.clientId : event.type === "slot-refilled" ? event.plan.clientId : "";
  return { sequence, kind: event.type, round, clientId, atMs, data: dataOf(event) };
}

function dataOf(event: SequencedRunEvent): Readonly<Record<string, unknown>> {
  switch (event.type) {
    case "run-created":
      return {
        name: event.spec.name,
        method: event.spec.method.name,
        rounds: event.spec.rounds,
        ...(event.privacy === undefined ? {} : { privacy: event.privacy }),
      };
    case "round-started":
      return {
        wanted: event.wanted,
        methodPhase: event.methodPhase,
        cohort: event.plans.map((plan) => ({ clientId: plan.clientId, planId: plan.planId, ...rankFacts(plan) })),
        ...reserved(event),
      };
    case "slot-refilled":
      return { planId: event.plan.planId, ...rankFacts(event.plan) };
    case "plan-declined":
      return { planId: event.planId, code: event.code, reason: event.reason };
    case "client-dropped":
      return { planId: event.planId, silentMs: event.silentMs };
    case "client-returned":
      return { planId: event.planId };
    case "update-accepted": {
      const { planId, blobId, bytes, updateNorm, metrics } = event;
      const { numExamples, numSteps, trainLoss, trainMs } = metrics;
      return { planId, blobId, bytes, updateNorm, numExamples, numSteps, trainLoss: trainLoss ?? null, trainMs };
    }
    case "update-refused":
      return { planId: event.planId, code: event.code, message: event.message };
    case "round-closed":
      return { reason: event.reason };
    case "noise-key-drawn":
      return {};
    case "round-committed": {
      const { adapter, baseVersion, methodMetrics, bytesUp, bytesDown, privacy } = event;
      return {
        ...{ adapterBlobId: adapter.id, adapterBytes: adapter.size, baseVersion, methodMetrics, bytesUp, bytesDown },
        ...(privacy === undefined ? {} : { privacy }),
      };
    }
    case "evaluation-started":
      return { clients: event.plans.map(({ clientId, planId }) => ({ clientId, planId })), ...reserved(event) };
    case "evaluation-accepted":
      return { planId: event.planId, evaluation: event.metrics.evaluation ?? null };
    case "round-evaluated": {
      const { evaluation, missing, bytesUp, bytesDown } = event;
      return { evaluation, missing, bytesUp, bytesDown };
    }
    case "run-stopped":
      return { reason: event.reason };
    case "run-resumed":
      return {};
    case "run-completed":
      return { reason: event.reason, ...(event.message === undefined ? {} : { message: event.message }) };
    case "run-failed":
      return { code: event.code, message: event.message };
  }
}

/** Depth and ranks where the rank plan gives clients different ones. */
function rankFacts({ ranks }: IssuedPlan): Readonly<Record<string, number | null>> {
  if (ranks === undefined) return {};
  const { depth, minRank, maxRank, totalRank, expectedMs } = ranks;
  return { depth, minRank, maxRank, totalRank, expectedMs };
}

function reserved({ reservedEpsilon }: { readonly reservedEpsilon?: number }): Readonly<Record<string, unknown>> {
  return reservedEpsilon === undefined ? {} : { reservedEpsilon };
}
