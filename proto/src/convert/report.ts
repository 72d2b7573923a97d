import { isPlanId, type PlanId } from "@fedlora/core";
import type { DeclineRequest, DeclineRequest__Output } from "../gen/fedlora/v1/DeclineRequest.js";
import type { ReportRequest, ReportRequest__Output } from "../gen/fedlora/v1/ReportRequest.js";
import type { ReportResponse, ReportResponse__Output } from "../gen/fedlora/v1/ReportResponse.js";
import { limits } from "../limits.js";
import { capabilityToWire, optionalCapabilityFromWire, type CapabilityReport } from "./capability.js";
import { checkDuration, checkFinite, checkId, checkInt, checkText } from "./checks.js";

export interface ProgressReport {
  readonly planId: PlanId;
  readonly stage: string;
  readonly step: number;
  readonly totalSteps: number;
  /** NaN where it was not measured, is private or not finite. */
  readonly loss: number;
  readonly capability: CapabilityReport | undefined;
}

export interface ReportAnswer {
  readonly planOpen: boolean;
  readonly deadlineMs: number;
}

export interface DeclineNotice {
  readonly planId: PlanId;
  readonly code: string;
  readonly reason: string;
}

export function reportFromWire(wire: ReportRequest__Output): ProgressReport {
  return {
    planId: checkId(wire.planId, isPlanId, "plan_id"),
    stage: checkText(wire.stage, "stage", limits.keyChars, 1),
    step: checkInt(wire.step, "step"),
    totalSteps: checkInt(wire.totalSteps, "total_steps"),
    loss: wire.loss === undefined ? Number.NaN : checkFinite(wire.loss, "loss"),
    capability: optionalCapabilityFromWire(wire.capability),
  };
}

export function reportToWire(report: ProgressReport): ReportRequest {
  return {
    planId: report.planId,
    stage: report.stage,
    step: report.step,
    totalSteps: report.totalSteps,
    ...(Number.isFinite(report.loss) ? { loss: report.loss } : {}),
    capability: report.capability === undefined ? null : capabilityToWire(report.capability),
  };
}

export function reportAnswerToWire(answer: ReportAnswer): ReportResponse {
  return { planOpen: answer.planOpen, deadlineMs: Math.max(0, Math.floor(answer.deadlineMs)) };
}

export function reportAnswerFromWire(wire: ReportResponse__Output): ReportAnswer {
  return { planOpen: wire.planOpen, deadlineMs: checkDuration(wire.deadlineMs, "deadline_ms") };
}

export function declineFromWire(wire: DeclineRequest__Output): DeclineNotice {
  return {
    planId: checkId(wire.planId, isPlanId, "plan_id"),
    code: checkText(wire.code, "code", limits.keyChars, 1),
    reason: checkText(wire.reason, "reason", limits.textChars),
  };
}

/** A longer reason is cut, since it is for people. */
export function declineToWire(notice: DeclineNotice): DeclineRequest {
  return { planId: notice.planId, code: notice.code, reason: notice.reason.slice(0, limits.textChars) };
}
