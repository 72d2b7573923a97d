import { noiseVerdict, runNoise } from "@fedlora/aggregators";
import type { ModelManifest, RunSpec } from "@fedlora/core";
import type { PrivacyReport } from "@fedlora/proto";

/** What a person should know of a private run's noise in the weights: another method, where that leaves clearly less. */
export function noiseAdvice(spec: RunSpec, model: ModelManifest, noiseMultiplier: number): readonly string[] {
  const noise = runNoise(spec, model, noiseMultiplier);
  return noise?.better === undefined ? [] : [noiseVerdict(noise)];
}

/** A report with that among its warnings. */
export function withNoiseAdvice(report: PrivacyReport, spec: RunSpec, model: ModelManifest): PrivacyReport {
  if (report.mode === "none") return report;
  const { account } = report;
  const advice = noiseAdvice(spec, model, account.noiseMultiplier);
  return { ...report, account: { ...account, warnings: [...account.warnings, ...advice] } };
}
