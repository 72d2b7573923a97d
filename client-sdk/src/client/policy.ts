import { FedLoraError, type BaseModelHash, type RoundPlan } from "@fedlora/core";
import { assertPrivacyPolicy } from "../privacy/owner-privacy.js";
import type { OwnerPolicy } from "./options.js";

const defaultMaxBytes = 2 ** 30;

/** What a plan is held against, beside the policy itself. */
export interface PolicyFacts {
  readonly ownBaseModel: BaseModelHash;
  /** Hour of the owner's local time, in [0, 24), fractions included. */
  readonly localHour: number;
  /** Bytes of all blobs that the plan refers to: the sum of what will be fetched with an empty cache. */
  readonly downloadBytes: number;
  /** Of these, base deltas that are merged into this client's weights already: they are never fetched. Default 0. */
  readonly mergedBytes?: number;
}

/** Throws `config-invalid` for a policy that makes no sense, before it is asked anything. */
export function assertPolicy(policy: OwnerPolicy): void {
  const { hours, privacy } = policy;
  if (privacy !== undefined) assertPrivacyPolicy(privacy);
  if (hours !== undefined) {
    for (const [name, value] of Object.entries(hours)) {
      if (!(value >= 0 && value <= 24)) throw invalid(`policy.hours.${name} ${String(value)} must be in [0, 24]`);
    }
  }
  for (const name of ["maxDownloadBytes", "maxUploadBytes"] as const) {
    const value = policy[name];
    if (value !== undefined && !(value >= 0)) throw invalid(`policy.${name} ${value} must be 0 or more bytes`);
  }
}

/**
 * Why the owner's policy does not allow a plan, in words, or undefined where it does. Pure; `canTrain` is asked apart
 * from it, last, because it may be slow.
 */
export function policyRefusal(policy: OwnerPolicy, plan: RoundPlan, facts: PolicyFacts): string | undefined {
  if (policy.methods !== undefined && !policy.methods.includes(plan.method.name)) {
    return `method "${plan.method.name}" is not one of the allowed ${list(policy.methods)}`;
  }
  const baseModels = policy.baseModels ?? [facts.ownBaseModel];
  if (!baseModels.includes(plan.baseModelHash)) {
    return `base model ${plan.baseModelHash} is not one of the allowed ${list(baseModels)}`;
  }
  const maxDownload = policy.maxDownloadBytes ?? defaultMaxBytes;
  const download = Math.max(plan.downloadBytes, facts.downloadBytes) - (facts.mergedBytes ?? 0);
  if (download > maxDownload) return `download of ${download} bytes exceeds the allowed ${maxDownload}`;
  const upload = uploadRefusal(policy, plan.uploadBytes);
  if (upload !== undefined) return upload;
  if (policy.hours !== undefined && !isWithinHours(policy.hours, facts.localHour)) {
    return `local hour ${facts.localHour.toFixed(2)} is outside the allowed ${policy.hours.from} to ${policy.hours.to}`;
  }
  return undefined;
}

/** As `policyRefusal`, for the size of an upload alone. */
export function uploadRefusal(policy: OwnerPolicy, bytes: number): string | undefined {
  const allowed = policy.maxUploadBytes ?? defaultMaxBytes;
  return bytes > allowed ? `upload of ${bytes} bytes exceeds the allowed ${allowed}` : undefined;
}

/** [from, to) on a 24-hour clock; from > to wraps round midnight; from = to is never, 0 to 24 is always. */
export function isWithinHours(hours: { readonly from: number; readonly to: number }, hour: number): boolean {
  const { from, to } = hours;
  return from <= to ? hour >= from && hour < to : hour >= from || hour < to;
}

const list = (values: readonly string[]): string => (values.length === 0 ? "(none)" : values.join(", "));

const invalid = (message: string): FedLoraError => new FedLoraError("config-invalid", message);
