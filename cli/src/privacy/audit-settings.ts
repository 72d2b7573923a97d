import { settleNoise } from "@fedlora/coordinator";
import { expectedBatch, type PlanPrivacy, type RunSpec } from "@fedlora/core";
import type { AuditSetting } from "@fedlora/simulations";

/** The run as it would be without privacy and, where it has some, as it is written. */
export function auditSettings(spec: RunSpec): readonly AuditSetting[] {
  const plain = { name: "no privacy", privacy: undefined };
  const { privacy } = spec;
  const noise = settleNoise(spec);
  if (privacy.mode === "none" || noise === undefined) return [plain];
  const { noiseMultiplier } = noise;
  const { clipNorm, delta } = privacy;
  const shared = { noiseMultiplier, clipNorm, delta };
  // The audited clients are as small as a private step allows: the bound is for their rate.
  const minExamples = expectedBatch(spec.training);
  const asPlanned: PlanPrivacy =
    privacy.mode === "example"
      ? { mode: "example", ...shared, clipping: privacy.clipping, minExamples }
      : { mode: privacy.mode, ...shared };
  return [plain, { name: `mode ${privacy.mode}, as written`, privacy: asPlanned }];
}
